// Makes a runtime safe to share between calls, before any function runs in it:
// what has a clock, randomness, threads or code from text goes; what could loop
// in native code, where no time limit is looked at, pays for its size first;
// and everything that is left is frozen, so that no call leaves anything behind.
(() => {
  "use strict";
  const G = globalThis;
  const { apply, construct, ownKeys, getOwnPropertyDescriptor, defineProperty, getPrototypeOf } = Reflect;
  const { freeze } = Object;
  const isArray = Array.isArray, parse = JSON.parse, stringify = JSON.stringify, push = Array.prototype.push;
  const RawString = String, RawSet = Set, has = Set.prototype.has, add = Set.prototype.add;
  const largest = 1000000;

  // charge spends time in proportion to n, in a loop that looks at the limit.
  const charge = (n) => {
    if (n > largest) throw new RangeError("too large: " + n + " elements or characters, at most " + largest);
    for (let i = n >> 4; i > 0; i--);
  };
  const wrap = (owner, name, before) => {
    const d = getOwnPropertyDescriptor(owner, name);
    if (d === undefined || typeof d.value !== "function") return;
    const native = d.value;
    d.value = { [name](...args) { return apply(native, before(this, args), args); } }[name];
    defineProperty(owner, name, d);
  };

  const kept = ["globalThis", "undefined", "NaN", "Infinity", "Object", "Function", "Array", "String", "Number", "Boolean",
    "Symbol", "Math", "JSON", "Map", "Set", "WeakMap", "WeakSet", "RegExp", "Date", "Error", "EvalError", "RangeError",
    "ReferenceError", "SyntaxError", "TypeError", "URIError", "AggregateError", "InternalError", "parseInt", "parseFloat",
    "isNaN", "isFinite", "encodeURI", "encodeURIComponent", "decodeURI", "decodeURIComponent"];
  for (const name of ownKeys(G)) if (!kept.includes(name)) delete G[name];
  delete Math.random;
  delete String.raw;
  for (const name of ["prepareStackTrace", "captureStackTrace", "stackTraceLimit"]) delete Error[name];
  delete Array.fromAsync;

  // Code from text would not have been seen when the function was stored.
  const kinds = [function () {}, async function () {}, function* () {}, async function* () {}];
  for (const f of kinds) {
    const proto = getPrototypeOf(f);
    const refuse = function Function() { throw new TypeError("code cannot be made from text"); };
    defineProperty(refuse, "prototype", { value: proto, writable: false });
    defineProperty(proto, "constructor", { value: refuse });
    if (f === kinds[0]) G.Function = refuse;
  }

  const RawDate = Date;
  const noClock = () => { throw new TypeError("there is no clock: take the time as an argument"); };
  const Calendar = function Date(...args) {
    if (new.target === undefined || args.length === 0) noClock();
    return construct(RawDate, args, new.target);
  };
  defineProperty(Calendar, "prototype", { value: RawDate.prototype, writable: false });
  Calendar.UTC = RawDate.UTC;
  Calendar.parse = RawDate.parse;
  Calendar.now = noClock;
  defineProperty(RawDate.prototype, "constructor", { value: Calendar });
  G.Date = Calendar;

  // A length that is no array's own could change between our look and the loop.
  const array = (self) => {
    if (!isArray(self)) throw new TypeError("this is not an array");
    charge(self.length);
    return self;
  };
  const A = Array.prototype;
  for (const name of ownKeys(A)) if (name !== "constructor") wrap(A, name, array);
  wrap(A, "sort", (self) => { charge(Math.min(largest, self.length * 20)); return self; });
  wrap(A, "toSorted", (self) => { charge(Math.min(largest, self.length * 20)); return self; });
  wrap(A, "concat", (self, args) => {
    for (let i = 0; i < args.length; i++) {
      if (isArray(args[i])) charge(args[i].length);
      else if (args[i] !== null && typeof args[i] === "object" && Symbol.isConcatSpreadable in args[i]) throw new TypeError("only arrays are spread");
    }
    return self;
  });
  const flatten = (out, from, depth) => {
    charge(from.length);
    for (let i = 0; i < from.length; i++) {
      if (!(i in from)) continue;
      if (depth > 0 && isArray(from[i])) flatten(out, from[i], depth - 1);
      else apply(push, out, [from[i]]);
    }
    return out;
  };
  const define = (owner, methods) => {
    for (const name of ownKeys(methods)) defineProperty(owner, name, { value: methods[name], writable: true, configurable: true, enumerable: false });
  };
  define(A, {
    [Symbol.iterator]: A.values,
    flat(depth = 1) { return flatten([], array(this), +depth); },
    flatMap(f, self) { return flatten([], array(this).map(f, self), 1); },
  });
  define(Array, {
    from(items, f, self) {
      const out = [];
      const take = (v) => { apply(push, out, [f === undefined ? v : apply(f, self, [v, out.length])]); };
      if (items === null || items === undefined) throw new TypeError("cannot make an array of " + items);
      if (items[Symbol.iterator] !== undefined) for (const v of items) take(v);
      else for (let i = 0, n = +items.length; i < n; i++) take(items[i]);
      return out;
    },
  });
  // Native code takes a short cut through array iterators, past the limit.
  wrap(getPrototypeOf([][Symbol.iterator]()), "next", (self) => self);

  const text = (self) => {
    if (self === null || self === undefined) throw new TypeError("this is no string");
    const s = typeof self === "string" ? self : RawString(self);
    charge(s.length);
    return s;
  };
  const S = String.prototype;
  for (const name of ownKeys(S)) if (!["constructor", "toString", "valueOf"].includes(name)) wrap(S, name, text);
  const search = (self, args) => {
    const what = args[0];
    if (what === undefined || what !== null && typeof what === "object") return self;
    args[0] = RawString(what);
    const n = self.length, m = args[0].length;
    if (m > 1 && m < n) charge(Math.ceil(m * (n - m + 1) / 64));
    return self;
  };
  for (const name of ["indexOf", "lastIndexOf", "includes", "split", "replace", "replaceAll"]) {
    wrap(S, name, (self, args) => search(text(self), args));
  }
  for (const name of ["repeat", "padStart", "padEnd"]) wrap(S, name, (self, args) => { charge(+args[0] * (name === "repeat" ? text(self).length : 1)); return self; });
  const R = RegExp.prototype;
  for (const name of ["exec", "test", Symbol.match, Symbol.matchAll, Symbol.replace, Symbol.search, Symbol.split]) {
    wrap(R, name, (self, args) => { args[0] = RawString(args[0]); charge(args[0].length); return self; });
  }
  for (const name of ["parseInt", "parseFloat", "encodeURI", "encodeURIComponent", "decodeURI", "decodeURIComponent"]) {
    wrap(G, name, (self, args) => { args[0] = RawString(args[0]); charge(args[0].length); return self; });
  }
  wrap(JSON, "parse", (self, args) => { args[0] = RawString(args[0]); charge(args[0].length); return self; });
  define(JSON, {
    stringify(value, replacer, space) {
      if (isArray(replacer)) charge(replacer.length * 10);
      const out = stringify(value, replacer, space);
      if (out !== undefined) charge(Math.min(largest, out.length * 4));
      return out;
    },
  });

  // Assigning to a name that a frozen prototype has would fail: these give the
  // object a property of its own.
  const open = (proto, names) => {
    for (const name of names) {
      const d = getOwnPropertyDescriptor(proto, name);
      if (d === undefined || !("value" in d)) continue;
      const value = d.value;
      defineProperty(proto, name, {
        configurable: true, enumerable: false, get() { return value; },
        set(v) { if (this !== proto) defineProperty(this, name, { value: v, writable: true, enumerable: true, configurable: true }); },
      });
    }
  };
  open(Object.prototype, ["toString", "valueOf", "toLocaleString", "constructor"]);
  for (const E of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError]) open(E.prototype, ["name", "message", "toString", "constructor"]);

  const seen = new RawSet(), queue = [G];
  for (const f of kinds) queue.push(f, f.prototype);
  queue.push([].values(), new Map().values(), new Set().values(), ""[Symbol.iterator](), "".matchAll(/x/g), kinds[2](), kinds[3](), kinds[1]());
  while (queue.length > 0) {
    const o = queue.pop();
    if (o === null || typeof o !== "object" && typeof o !== "function" || apply(has, seen, [o])) continue;
    apply(add, seen, [o]);
    queue.push(getPrototypeOf(o));
    for (const key of ownKeys(o)) {
      const d = getOwnPropertyDescriptor(o, key);
      queue.push(d.value, d.get, d.set);
    }
  }
  seen.forEach((o) => { freeze(o); });

  // The one way in: a function that defines main, and the arguments as JSON.
  return (make, json, limit) => {
    const main = make();
    if (main === null) throw new TypeError("the source defines no function main(args)");
    const result = main(parse(json));
    if (result === undefined || result === null) return "null";
    if (typeof result === "object" && typeof result.then === "function") throw new TypeError("main must return a value, not a promise");
    const out = stringify(result);
    if (out === undefined) throw new TypeError("main returned a " + typeof result + ", which is no JSON");
    if (out.length > limit) throw new RangeError("main returned more than " + limit + " characters of JSON");
    return out;
  };
})()
