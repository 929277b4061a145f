// The types of WebAssembly as they stand in declarations that users compile against. Whether the global namespace exists depends on their
// libraries (the DOM's and newer ones of Node.js have it); where it does not, what is needed here is enough.

type Namespace = typeof globalThis extends { readonly WebAssembly: infer Found } ? Found : object;

/** A `WebAssembly.Memory`. */
export type WasmMemory = Namespace extends {
  readonly Memory: abstract new (...args: never[]) => infer Memory;
}
  ? Memory
  : { readonly buffer: ArrayBuffer | SharedArrayBuffer };

/** A `WebAssembly.Module`. */
export type WasmModule = Namespace extends {
  readonly Module: abstract new (...args: never[]) => infer Module;
}
  ? Module
  : object;
