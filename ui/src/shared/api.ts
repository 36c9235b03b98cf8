/** A refusal in the server's words (problem+json, RFC 9457), or ours when no server answered. */
export class Problem extends Error {
  constructor(
    /** HTTP status; 0 when there was no answer. */
    readonly status: number,
    readonly detail: string,
    /** Open points of a checklist, where the refusal has any. */
    readonly points: string[] = [],
    /** Seconds that the server asks to wait before the next try; null when it says nothing. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

export interface Call {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: unknown;
  /** An invite's token; without one the owner's cookie speaks. */
  token?: string | null;
  signal?: AbortSignal;
}

/** Calls the API and returns its JSON; throws a Problem otherwise. */
export async function call<T>(path: string, { method = 'GET', body, token, signal }: Call = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  let response: Response;
  try {
    const json = body === undefined ? undefined : JSON.stringify(body);
    response = await fetch(`/api/v1${path}`, { method, headers, body: json, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'The server did not answer. Check your connection, then try again.');
  }
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Reads a refusal; any body will do. */
export async function problemOf(response: Response): Promise<Problem> {
  const fallback = `The server answered with status ${response.status}. Try again in a moment.`;
  try {
    const body = (await response.json()) as { detail?: string; title?: string; errors?: unknown[] };
    return new Problem(response.status, body.detail ?? body.title ?? fallback, pointsOf(body.errors), retryAfter(response));
  } catch {
    return new Problem(response.status, fallback, [], retryAfter(response));
  }
}

/** The seconds of a Retry-After header; null when there are none. */
export function retryAfter(response: Response): number | null {
  const text = response.headers.get('Retry-After');
  const value = Number(text);
  return text && Number.isFinite(value) && value >= 0 ? value : null;
}

function pointsOf(errors: unknown[] | undefined): string[] {
  if (!Array.isArray(errors)) return [];
  return errors
    .map((entry) => (typeof entry === 'string' ? entry : (entry as { message?: string } | null)?.message))
    .filter((point): point is string => Boolean(point));
}

/** A refusal or failure as words for a person. */
export function wordsOf(error: unknown): string {
  return error instanceof Problem ? sentence(error.detail) : 'Something went wrong on this page. Reload it and try again.';
}

/** The server's texts are whole sentences without the full stop, begun in lower case. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (!trimmed) return trimmed;
  return trimmed[0]?.toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? '' : '.');
}
