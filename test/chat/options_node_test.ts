import {ArgumentError} from 'tfjs-linear';
import {parseOptions} from '../../examples/chat/options.js';

describe('options of the demo', () => {
  it('have defaults', () => {
    expect(parseOptions([])).toEqual({
      model: undefined,
      backend: undefined,
      devices: undefined,
      threads: undefined,
      prompt: 'What is the capital of France?',
      raw: false,
      maxTokens: 256,
      temperature: 0,
      seed: 1,
      json: false,
      topLogits: false,
      help: false,
    });
  });

  it('are read in both spellings', () => {
    const args = [
      '--model=m',
      '--backend',
      'cpu',
      '--prompt',
      '-5 + 2?',
      '--raw',
      '--max-tokens=8',
      '--temperature',
      '0.7',
      '--threads=2',
      '--json',
      '--top-logits',
    ];
    const options = parseOptions(args);
    expect(options.model).toBe('m');
    expect(options.backend).toBe('cpu');
    expect(options.threads).toBe(2);
    expect(options.prompt).toBe('-5 + 2?');
    expect([options.maxTokens, options.temperature]).toEqual([8, 0.7]);
    expect([options.raw, options.json, options.topLogits, options.help]).toEqual([true, true, true, false]);
  });

  it('may name one device in place of a backend', () => {
    expect(parseOptions(['--devices', 'cpu']).backend).toBe('cpu');
    expect(parseOptions(['--devices', 'cpu', '--backend', 'cpu']).backend).toBe('cpu');
    expect(() => parseOptions(['--devices', 'cpu', '--backend', 'wasm'])).toThrowError(ArgumentError, /--devices/);
  });

  it('may name several devices, the first or --backend for the rest of the model', () => {
    const places = (...args: string[]) => {
      const {backend, devices} = parseOptions(args);
      return [backend, devices];
    };
    expect(places('--devices', 'cpu')).toEqual(['cpu', undefined]);
    expect(places('--devices', 'wasm, cpu')).toEqual(['wasm', ['wasm', 'cpu']]);
    expect(places('--devices', 'webgpu:0,webgpu:1', '--backend', 'webgpu:1')).toEqual(['webgpu:1', ['webgpu:0', 'webgpu:1']]);
    expect(() => parseOptions(['--devices', 'wasm,cpu', '--backend', 'webgl'])).toThrowError(ArgumentError, /--devices.*webgl/);
    expect(() => parseOptions(['--devices', 'wasm,'])).toThrowError(ArgumentError, /--devices/);
  });

  const refused: [string[], RegExp][] = [
    [['--promt', 'x'], /'--promt'.*Did you mean '--prompt'/],
    [['-m', 'x'], /'-m'/],
    [['hello'], /'hello'/],
    [['--model'], /--model: expected a value/],
    [['--json=yes'], /--json: expected no value/],
    [['--max-tokens', '0'], /--max-tokens: expected a whole number of at least 1/],
    [['--max-tokens', '2.5'], /--max-tokens/],
    [['--max-tokens='], /--max-tokens/],
    [['--threads', '0'], /--threads: expected a whole number of at least 1/],
    [['--temperature', '-1'], /--temperature: expected a number of at least 0/],
    [['--temperature', 'hot'], /'hot'/],
  ];
  for (const [args, message] of refused) {
    it(`refuse ${args.join(' ')}`, () => {
      expect(() => parseOptions(args)).toThrowError(ArgumentError, message);
    });
  }
});
