/** True in a browser page, false in Node. */
export const IN_BROWSER = typeof window !== 'undefined' && typeof document !== 'undefined';
