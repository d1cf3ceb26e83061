// npm run docs: the reference of every export as HTML in build/docs, from the docstrings. Fails on any warning: a broken link, an example that is
// not code, an export without a word about it.
import {Application, LogLevel, ReflectionKind} from 'typedoc';
import {buildAssembly} from './assembly.mjs';
import {ROOT} from './browser.mjs';

process.chdir(ROOT);
await buildAssembly();
/** Parts of the inside that signatures of public classes mention: subclasses and formats meet them, users do not. */
const INSIDE = [
  'BiasValue',
  'Devices',
  'GptqSource',
  'HostRecord',
  'HostShard',
  'LayerOrigin',
  'LinearCore',
  'LinearInit',
  'PlacedShard',
  'ShardDevice',
  'Lowered',
  'MLPInit',
  'MLPParts',
  'PreparedState',
  'PrintLine',
  'RecordMemory',
  'SavedMLPV1',
  'ShardedCore',
  'WeightSource',
  'WeightValue',
];

const app = await Application.bootstrapWithPlugins({
  entryPoints: ['src/index.ts'],
  tsconfig: 'tsconfig.build.json',
  name: 'tfjs-linear',
  readme: 'docs/start.md',
  projectDocuments: ['docs/*.md'],
  out: 'build/docs',
  // Which commit a machine has checked out is no part of the reference.
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  intentionallyNotExported: INSIDE,
  validation: {notExported: true, invalidLink: true, notDocumented: false, invalidPath: false},
  // Links to folders are check:links' to judge.
  highlightLanguages: ['typescript', 'javascript', 'python', 'html', 'shellscript', 'json'],
  logLevel: LogLevel.Warn,
});
const project = await app.convert();
if (project === undefined) throw new Error('typedoc found nothing');
app.validate(project);
await app.generateOutputs(project);

const KINDS = ReflectionKind.Class | ReflectionKind.Function | ReflectionKind.Interface;
const exported = project
  .getReflectionsByKind(KINDS)
  .filter((reflection) => reflection.parent?.isProject() || reflection.parent?.kind === ReflectionKind.Module);
const words = (reflection) => reflection.hasComment() || reflection.signatures?.some((signature) => signature.hasComment());
/** An interface of options says what it is in its members. */
const told = (reflection) =>
  words(reflection) || (reflection.kind === ReflectionKind.Interface && reflection.children?.some((member) => words(member)));
const silent = exported.filter((reflection) => !told(reflection)).map(({name}) => name);
for (const name of silent) console.log(`${name} is exported without a docstring`);
const {warningCount, errorCount} = app.logger;
console.log(
  `build/docs: ${exported.length} classes, functions and interfaces, ${silent.length} without a docstring; ${warningCount} warnings, ${errorCount} errors`,
);
process.exitCode = silent.length + warningCount + errorCount > 0 ? 1 : 0;
