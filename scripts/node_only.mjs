// Stands for tfjs-linear/node in bundles for pages.
throw new Error('tfjs-linear/node is for Node');
