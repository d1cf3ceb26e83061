// npm run surface: every class, argument, property and enum member that must exist, read from the code itself, with the spec that proves it.
// Fails where one is missing or has no spec. --json prints {rows} and nothing else.
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';
import ts from 'typescript';
import {ROOT} from './browser.mjs';
import {ACTIVATIONS, FACTORIES, SURFACE, spellings} from './surface_list.mjs';

const {values: options} = parseArgs({options: {json: {type: 'boolean'}}});
process.chdir(ROOT);

const configFile = ts.readConfigFile('tsconfig.json', ts.sys.readFile).config;
const {options: compilerOptions} = ts.parseJsonConfigFileContent({...configFile, include: ['src/index.ts']}, ts.sys, ROOT);
const program = ts.createProgram(['src/index.ts'], compilerOptions);
const checker = program.getTypeChecker();
const index = checker.getSymbolAtLocation(program.getSourceFile('src/index.ts'));
const exported = new Map(checker.getExportsOfModule(index).map((symbol) => [symbol.name, resolve(symbol)]));

function resolve(symbol) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

/** Public, and declared in this repository or inherited from what is. */
function isPublic(symbol) {
  const [declaration] = symbol?.declarations ?? [];
  if (declaration === undefined) return false;
  return !(ts.getCombinedModifierFlags(declaration) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected));
}

const specs = readSpecs();

/** Every `it` of the tests: file, line, title and text. */
function readSpecs() {
  const found = [];
  const files = fs
    .readdirSync('test', {recursive: true})
    .map((file) => path.join('test', file))
    .filter((file) => file.endsWith('_test.ts'))
    .sort((a, b) => b.startsWith('test/surface') - a.startsWith('test/surface') || a.localeCompare(b));
  for (const file of files) {
    const whole = fs.readFileSync(file, 'utf8');
    const source = ts.createSourceFile(file, whole, ts.ScriptTarget.ES2022, true);
    const visit = (node) => {
      if (ts.isCallExpression(node) && node.expression.getText() === 'it' && node.arguments.length > 1) {
        const title = node.arguments[0].getText().replace(/^['"`]|['"`]$/g, '');
        const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
        found.push({where: `${file}:${line}`, title, text: node.getText(), whole});
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return found;
}

/** How a spec uses a name: an argument between the braces of a constructor or factory, a member after a dot. */
function uses(kind, name, member) {
  const cls = name.replace('$', '\\$');
  const factory = Object.entries(FACTORIES).find(([, made]) => made === name)?.[0] ?? cls;
  if (kind === 'export' || kind === 'factory') return [new RegExp(`\\b(new ${cls}|${cls}[.(])`)];
  if (kind === 'argument') return [new RegExp(`\\b(new ${cls}|${factory})\\(\\{[^;]*\\b${member}\\b`)];
  if (kind === 'static' || kind === 'member') return [new RegExp(`\\b${cls}\\.${member}\\b`)];
  if (kind === 'activation') return [new RegExp(`activationFunction: '${member}'`)];
  return [new RegExp(`\\b${cls}\\b`), new RegExp(`\\.${member}\\b`)];
}

/** `Class: ${name}` in a loop stands for every name that its file has. */
function isNamed(spec, title, member) {
  if (spec.title === title) return true;
  return member !== null && spec.title.replace(/\$\{.*\}$/, member) === title && new RegExp(`\\b${member}\\b`, 'i').test(spec.whole);
}

/** The spec named after the row, else the first that uses the name. */
function proofOf(kind, name, member) {
  const title = member === null ? name : `${name}: ${member}`;
  const wanted = uses(kind, name, member);
  return specs.find((spec) => isNamed(spec, title, member)) ?? specs.find((spec) => wanted.every((re) => re.test(spec.text)));
}

const rows = [];
function add(name, kind, max, ours, found) {
  const proof = proofOf(kind, name, ours);
  const state = !found ? 'missing' : proof === undefined ? 'no spec' : 'ok';
  rows.push({class: name, kind, max, ours, state, test: proof === undefined ? null : `${proof.where} ${proof.title}`});
}

for (const [name, {args = '', members = '', statics = '', values = {}}] of Object.entries(SURFACE)) {
  const symbol = exported.get(name);
  add(name, 'export', name, null, symbol !== undefined);
  const type = symbol?.valueDeclaration && checker.getTypeOfSymbol(symbol);
  const [construct] = type?.getConstructSignatures() ?? [];
  const config = construct?.parameters[0] && checker.getTypeOfSymbol(construct.parameters[0]);
  for (const [max, ours] of spellings(args))
    add(name, 'argument', max, ours, config !== undefined && propertyOf(config, ours) !== undefined);
  const instance = construct && checker.getReturnTypeOfSignature(construct);
  for (const [max, ours] of spellings(members))
    add(name, 'property', max, ours, instance !== undefined && isPublic(propertyOf(instance, ours)));
  for (const [max, ours] of spellings(statics)) add(name, 'static', max, ours, type !== undefined && isPublic(propertyOf(type, ours)));
  for (const [member, value] of Object.entries(values)) {
    const property = type && propertyOf(type, member);
    const held = property && checker.getTypeOfSymbol(property);
    add(name, 'member', member, member, held?.isStringLiteral() && held.value === value);
  }
}

function propertyOf(type, name) {
  // A union (config or fields) has the properties that any of its parts has.
  const parts = type.isUnion() ? type.types : [type];
  return parts.map((part) => checker.getPropertyOfType(part, name)).find((property) => property !== undefined);
}

const mlpConfig = exported.get('MLPConfig');
const activation = mlpConfig && checker.getPropertyOfType(checker.getDeclaredTypeOfSymbol(mlpConfig), 'activationFunction');
const known = activation ? checker.getTypeOfSymbol(activation) : undefined;
const names = known?.isUnion() ? known.types.filter((t) => t.isStringLiteral()).map((t) => t.value) : [];
for (const name of ACTIVATIONS) add('MLP', 'activation', name, name, names.includes(name));
for (const [factory, cls] of Object.entries(FACTORIES)) add(factory, 'factory', cls, null, exported.has(factory));

const bad = rows.filter((row) => row.state !== 'ok');
if (options.json) console.log(JSON.stringify({rows}));
else {
  const widths = [22, 11, 24, 24];
  const line = (cells) => cells.map((cell, i) => (i < widths.length ? String(cell ?? '').padEnd(widths[i]) : cell)).join(' ');
  console.log(line(['class', 'kind', 'MAX', 'ours', 'spec']));
  for (const row of rows)
    console.log(line([row.class, row.kind, row.max, row.ours ?? row.class, row.state === 'ok' ? row.test : row.state.toUpperCase()]));
  console.log(
    `${rows.length} names, ${bad.filter((r) => r.state === 'missing').length} missing, ${bad.filter((r) => r.state === 'no spec').length} without a spec`,
  );
}
process.exitCode = bad.length === 0 ? 0 : 1;
