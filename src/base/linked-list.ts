/**
 * A doubly linked list of objects that are in at most one place each: O(1) at both ends and from the middle.
 *
 *     first ⇄ … ⇄ last
 *
 * A `Set` would serve for a queue, but not for taking the newest (idle servers are reused last in, first out).
 */
import { invariant } from './assert.ts';

interface Link<T> {
  readonly value: T;
  previous: Link<T> | undefined;
  next: Link<T> | undefined;
}

export class LinkedList<T extends object> {
  readonly #links = new Map<T, Link<T>>();
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;

  get size(): number {
    return this.#links.size;
  }

  get first(): T | undefined {
    return this.#first?.value;
  }

  get last(): T | undefined {
    return this.#last?.value;
  }

  has(value: T): boolean {
    return this.#links.has(value);
  }

  push(value: T): void {
    invariant(!this.#links.has(value), 'an object is in a list once');
    const link: Link<T> = { value, previous: this.#last, next: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.next = link;
    this.#last = link;
    this.#links.set(value, link);
  }

  unshift(value: T): void {
    invariant(!this.#links.has(value), 'an object is in a list once');
    const link: Link<T> = { value, previous: undefined, next: this.#first };
    if (this.#first === undefined) this.#last = link;
    else this.#first.previous = link;
    this.#first = link;
    this.#links.set(value, link);
  }

  /** Takes `value` out; false when it was not in. */
  delete(value: T): boolean {
    const link = this.#links.get(value);
    if (link === undefined) return false;
    if (link.previous === undefined) this.#first = link.next;
    else link.previous.next = link.next;
    if (link.next === undefined) this.#last = link.previous;
    else link.next.previous = link.previous;
    this.#links.delete(value);
    return true;
  }

  /** From first to last. The list may lose the visited value during the visit, nothing else. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    let link = this.#first;
    while (link !== undefined) {
      const next = link.next;
      yield link.value;
      link = next;
    }
  }
}
