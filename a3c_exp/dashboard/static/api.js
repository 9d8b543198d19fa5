// Questions to the server, asked again and again while somebody looks.

/** What the server says of a mistake, in a sentence. */
export class Refusal extends Error {}

const tags = new Map(); // of the last answer to each address

/** The answer to ``/api/<name>``; ``null`` if it is the one that was given last and ``onlyNew``. */
export async function ask(name, query = [], { signal, onlyNew = false } = {}) {
  const parameters = new URLSearchParams(query).toString();
  const address = `api/${name}${parameters ? `?${parameters}` : ""}`;
  const response = await fetch(address, { signal });
  const tag = response.headers.get("ETag");
  if (response.ok && onlyNew && tags.get(address) === tag) return null;
  const answer = await response.json();
  if (!response.ok) throw new Refusal(answer.error);
  if (onlyNew) tags.set(address, tag);
  return answer;
}

/** Forget what was answered, so that the next answer counts as new. */
export const forget = () => tags.clear();

const pause = (seconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

const visible = (signal) =>
  new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
    return signal.addEventListener("abort", resolve, { once: true });
  });

/** Call ``task`` now and every few ``seconds`` until ``signal``, but never while nobody can see the page. */
export async function repeat(task, seconds, signal, onRefusal) {
  while (!signal.aborted) {
    try {
      await task();
      if (!signal.aborted) showOffline(false);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal) onRefusal(error.message);
      else if (error instanceof TypeError && /fetch|network|load/i.test(error.message)) showOffline(true);
      else throw error;
    }
    await pause(seconds, signal);
    await visible(signal);
  }
}

function showOffline(offline) {
  document.getElementById("offline").hidden = !offline;
}
