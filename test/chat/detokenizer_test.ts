import {StreamingText} from '../../examples/chat/detokenizer.js';

/** Tokens are bytes; decoding is UTF-8. */
const decodeBytes = (ids: readonly number[]): string => new TextDecoder('utf-8', {ignoreBOM: true}).decode(Uint8Array.from(ids));

function pieces(bytes: Iterable<number>): string[] {
  const stream = new StreamingText(decodeBytes);
  return [...Array.from(bytes, (byte) => stream.push(byte)), stream.end()];
}

describe('StreamingText', () => {
  it('holds a character back until its last byte', () => {
    expect(pieces(new TextEncoder().encode('aé€😀b'))).toEqual(['a', '', 'é', '', '', '€', '', '', '', '😀', 'b', '']);
  });

  it('ends with what an incomplete character reads as', () => {
    expect(pieces([0x61, 0xe2, 0x82])).toEqual(['a', '', '', '\ufffd']);
  });

  it('goes on after bytes that are no character', () => {
    expect(pieces([0xff, 0x61, 0x62]).join('')).toBe('\ufffdab');
  });

  it('shows a text with U+FFFD in it whole', () => {
    expect(pieces(new TextEncoder().encode('a\ufffdb')).join('')).toBe('a\ufffdb');
  });

  it('keeps blanks that only a token before brings out', () => {
    const words = ['Hello', 'big', 'world'];
    const stream = new StreamingText((ids) => ids.map((id) => words[id]).join(' '));
    expect([stream.push(0), stream.push(1), stream.push(2), stream.end()]).toEqual(['Hello', ' big', ' world', '']);
  });

  it('passes over tokens without text', () => {
    const words = ['a', '', 'b'];
    const stream = new StreamingText((ids) => ids.map((id) => words[id]).join(''));
    expect([stream.push(0), stream.push(1), stream.push(1), stream.push(2)]).toEqual(['a', '', '', 'b']);
  });
});
