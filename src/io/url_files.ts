/** A folder behind a URL, or one file with the folder it lies in. Nothing can be listed: files are found by asking for them. */
import {ArgumentError} from '../errors.js';
import type {ByteSource, FileSet} from './source.js';
import {UrlSource} from './url_source.js';

/** A URL whose path ends so is a file's. */
const FILE_SUFFIX = /\.(?:safetensors|gguf|safetensors\.index\.json)$/i;

export function openUrl(url: URL): FileSet {
  return new UrlFiles(url);
}

class UrlFiles implements FileSet {
  readonly label: string;
  readonly singleFile: string | null;
  private readonly folder: URL;
  /** Found, and not opened yet: their first bytes are here. */
  private readonly found = new Map<string, UrlSource>();
  private readonly opened = new Set<UrlSource>();
  private readonly absent = new Set<string>();

  constructor(url: URL) {
    this.label = url.href;
    const isFile = FILE_SUFFIX.test(url.pathname);
    const slash = url.pathname.lastIndexOf('/');
    this.singleFile = isFile ? decodeURIComponent(url.pathname.slice(slash + 1)) : null;
    this.folder = new URL(url);
    this.folder.hash = '';
    this.folder.pathname = isFile ? url.pathname.slice(0, slash + 1) : `${url.pathname.replace(/\/+$/, '')}/`;
  }

  list(): null {
    return null;
  }

  async has(name: string): Promise<boolean> {
    if (this.absent.has(name)) return false;
    const source = this.found.get(name) ?? this.source(name);
    this.found.set(name, source);
    const found = await source.exists().catch((error) => {
      // Beside a single file we only look: a signed or restricted URL need not allow more than itself.
      if (this.singleFile !== null && name !== this.singleFile && (source.status === 401 || source.status === 403)) return false;
      throw error;
    });
    if (!found) {
      this.absent.add(name);
      await source.close();
    }
    return found;
  }

  async open(name: string): Promise<ByteSource> {
    const source = this.found.get(name) ?? this.source(name);
    this.found.delete(name);
    this.opened.add(source);
    return source;
  }

  async close(): Promise<void> {
    await Promise.all([...this.found.values(), ...this.opened].map((source) => source.close()));
  }

  private source(name: string): UrlSource {
    if (name === '' || name === '..' || name === '.' || /[/\\]/.test(name)) {
      throw new ArgumentError({where: this.label, expected: 'the name of a file in this folder', received: `'${name}'`});
    }
    const url = new URL(this.folder);
    url.pathname += encodeURIComponent(name);
    const source: UrlSource = new UrlSource(url.href, name, () => {
      this.opened.delete(source);
      if (this.found.get(name) === source) this.found.delete(name);
    });
    return source;
  }
}
