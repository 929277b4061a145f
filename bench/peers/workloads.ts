// The workloads that the peers' programs have, in every language unless it says otherwise.

export const ALL_WORKLOADS: readonly string[] = ['gcbench', 'gcbench-mt', 'binary-trees', 'lru-cache'];
