/** A signer of notes, for tests, with a key of its own. */
export async function makeSigner(name: string): Promise<{ verifier: string; sign: (text: string) => Promise<string> }> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const key = new Uint8Array([1, ...new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))]);
  const named = new Uint8Array([...new TextEncoder().encode(`${name}\n`), ...key]);
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', named)).slice(0, 4);
  const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
  return {
    verifier: `${name}+${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}+${base64(key)}`,
    sign: async (text) => {
      const signature = await crypto.subtle.sign('Ed25519', pair.privateKey, new TextEncoder().encode(text));
      return `${text}\n— ${name} ${base64(new Uint8Array([...hash, ...new Uint8Array(signature)]))}\n`;
    },
  };
}
