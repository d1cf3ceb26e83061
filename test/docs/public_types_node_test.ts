/** The types that a program sees: no `any`, and each option says what it is. */
import path from 'node:path';
import type * as TypeScript from 'typescript';

/** Not a literal: the compiler is not to be bundled. */
const load = async (): Promise<typeof TypeScript> => ((await import(`${'type'}script`)) as {default: typeof TypeScript}).default;

describe('public types', () => {
  it('have no any in the declarations that the package ships, and a docstring for every option', async () => {
    const ts = await load();
    // Specs run in the repository's folder.
    const root = process.cwd();
    const entries = ['src/index.ts', 'src/node.ts'].map((file) => path.join(root, file));
    const {config} = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile);
    const parsed = ts.parseJsonConfigFileContent({...config, include: ['src/index.ts']}, ts.sys, root);
    const options = {
      ...parsed.options,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      outDir: path.join(root, 'build/types'),
    };
    const anys: string[] = [];
    const bare: string[] = [];
    let files = 0;
    const program = ts.createProgram(entries, options);
    const checker = program.getTypeChecker();
    const exportsOf = (file: string) =>
      checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file) as TypeScript.SourceFile) as TypeScript.Symbol);
    const exported = new Set(entries.flatMap(exportsOf).map((symbol) => symbol.name));
    program.emit(undefined, (name, text) => {
      if (!name.endsWith('.d.ts')) return;
      files++;
      const source = ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true);
      const visit = (node: TypeScript.Node): void => {
        if (node.kind === ts.SyntaxKind.AnyKeyword) anys.push(`${path.basename(name)}: ${node.parent.getText()}`);
        if (ts.isInterfaceDeclaration(node) && exported.has(node.name.text) && /(Config|Options|Fields)$/.test(node.name.text)) {
          const undocumented = node.members.filter((member) => ts.getJSDocCommentsAndTags(member).length === 0);
          for (const member of undocumented) bare.push(`${node.name.text}.${member.name?.getText()}`);
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
    });
    expect(files).toBeGreaterThan(100);
    expect(anys).toEqual([]);
    expect(bare).toEqual([]);
  });
});
