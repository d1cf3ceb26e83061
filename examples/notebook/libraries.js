// Stands in for Notebook Kit's list of libraries that cells can name without an import: that one fetches them from a CDN, this one has them here.
import '@observablehq/inputs/dist/index.css';

export const Inputs = () => import('@observablehq/inputs');
export const Plot = () => import('@observablehq/plot');
