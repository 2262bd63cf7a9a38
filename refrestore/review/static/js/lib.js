// @ts-check
// The one place that knows where the vendored libraries lie.

import htm from "../vendor/htm.js";
import { Fragment, h, render } from "../vendor/preact.js";
import {
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "../vendor/preact-hooks.js";
import { batch, computed, effect, signal, useSignal } from "../vendor/signals.js";

/** @typedef {import("../vendor/preact.js").VNode<any>} VNode */
/** @typedef {import("../vendor/preact.js").ComponentChildren} Children */

/** A template to a tree. Nothing in it is ever parsed as markup: values are text or properties. */
export const html = /** @type {(strings: TemplateStringsArray, ...values: unknown[]) => VNode} */ (
  htm.bind(/** @type {any} */ (h))
);

export {
  Fragment,
  batch,
  computed,
  effect,
  render,
  signal,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useSignal,
  useState,
};
