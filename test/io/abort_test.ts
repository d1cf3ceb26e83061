/** Waiting that a signal cuts short. */
import {abortable, eitherOf} from '../../src/io/abort.js';

describe('waiting on an AbortSignal', () => {
  it('adds one listener to a signal, however many wait: Node warns of a leak from the eleventh on', async () => {
    const controller = new AbortController();
    const added = spyOn(controller.signal, 'addEventListener').and.callThrough();
    const never = new Promise<number>(() => {});
    const waits = Array.from({length: 20}, () => abortable(never, controller.signal));
    expect(await abortable(Promise.resolve(7), controller.signal)).toBe(7);
    const reasons = Promise.allSettled(waits);
    const why = new Error('enough');
    controller.abort(why);
    expect((await reasons).map((r) => (r.status === 'rejected' ? r.reason : r))).toEqual(new Array(20).fill(why));
    expect(added).toHaveBeenCalledTimes(1);
    await expectAsync(abortable(Promise.resolve(7), controller.signal)).toBeRejectedWith(why);
  });

  it('follows either of two signals until it is released', () => {
    const [a, b] = [new AbortController(), new AbortController()];
    const first = eitherOf(a.signal, b.signal);
    first.release();
    const second = eitherOf(a.signal, b.signal);
    b.abort('b');
    expect(first.signal.aborted).toBe(false);
    expect(second.signal.reason).toBe('b');
    second.release();
    expect(eitherOf(a.signal, b.signal).signal.reason).toBe('b');
  });
});
