declare module "snappyjs" {
  export const compress: (bytes: Uint8Array) => Uint8Array
}
