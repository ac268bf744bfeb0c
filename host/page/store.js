// What was bred, in the browser's IndexedDB: one record for each generation, in which only the picks ever change.

const open = (name) =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("generations", { keyPath: "id" });
      request.result.createObjectStore("state");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const finished = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Without storage (a private window), breeding works and lasts as long as the page. */
export async function openStore(name) {
  let database;
  try {
    database = await open(name);
  } catch {
    return { all: async () => [], put: async () => {}, place: async () => undefined, setPlace: async () => {}, lasting: false };
  }
  const store = (name, mode) => database.transaction(name, mode).objectStore(name);
  return {
    lasting: true,
    all: () => finished(store("generations", "readonly").getAll()),
    put: (generation) => finished(store("generations", "readwrite").put(generation)),
    place: () => finished(store("state", "readonly").get("place")),
    setPlace: (id) => finished(store("state", "readwrite").put(id, "place")),
  };
}
