/** The name of which `hashTagged` of a key space made this text in braces, without the prefix of its tenant. */
export const nameInTag = (text: string): string =>
  text.replace(/%(25|7B|7D)/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
