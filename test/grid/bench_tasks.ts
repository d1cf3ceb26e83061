/** How long a page was frozen: the longest task of this thread, as the browser reports tasks of 50 ms and more. */
import {nextTurn} from '../../examples/chat/turn.js';

/** Milliseconds of the longest task; 0: none took 50; null: this platform does not tell. */
export type LongestTask = number | null;

export interface Tasks {
  /** The longest task since the last call. What runs now ends its task first. */
  longest(): Promise<LongestTask>;
  stop(): void;
}

export function watchTasks(): Tasks {
  const told = (globalThis.PerformanceObserver?.supportedEntryTypes ?? []).includes('longtask');
  if (!told) return {longest: async () => null, stop: () => undefined};
  let longest = 0;
  const see = (entries: PerformanceEntryList) => {
    for (const {duration} of entries) longest = Math.max(longest, duration);
  };
  const observer = new PerformanceObserver((list) => see(list.getEntries()));
  observer.observe({entryTypes: ['longtask']});
  return {
    async longest() {
      // A task is reported after its end.
      await nextTurn();
      await nextTurn();
      see(observer.takeRecords());
      const found = longest;
      longest = 0;
      return found;
    },
    stop: () => observer.disconnect(),
  };
}

/** The longest of several. */
export const longestOf = (found: readonly LongestTask[]): LongestTask =>
  found.every((ms) => ms !== null) ? Math.max(0, ...(found as number[])) : null;
