/** Pure. Whether a text is the path of a node, as ZooKeeper's own PathUtils has it. */
export const isPath = (path: string): boolean =>
  // oxlint-disable-next-line no-control-regex
  /^\/$|^(\/(?!\.{1,2}(\/|$))[^/\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]+)+$/.test(path)
