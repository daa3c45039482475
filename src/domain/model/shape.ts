import type { Span } from './problem.ts';

/**
 * The description of one place in a model. The reader of models, the JSON Schema and the reference are all made from
 * these, so that no key is enumerated twice.
 */
export type Shape = PlainShape | EitherShape<readonly PlainShape[]>;

export type PlainShape =
  TextShape | ChoiceShape<string> | WholeShape | ListShape<Shape> | MapShape<Shape> | ObjectShape<Fields>;

export type TextShape = {
  readonly kind: 'text';
  /** With its article: `a DNS label`. */
  readonly what: string;
  /** Anchored, linear-time. What `grammar` accepts must match it too. */
  readonly pattern: RegExp;
  readonly maxLength: number;
  /** `pattern`: the pattern says all. `grammar`: a parser of `grammar.ts` decides and says what is wrong. */
  readonly check: 'pattern' | 'grammar';
  /** Whether a number or boolean may stand here without quotes. */
  readonly bare?: boolean;
};

export type ChoiceShape<T> = { readonly kind: 'choice'; readonly what: string; readonly of: readonly T[] };

export type WholeShape = { readonly kind: 'whole'; readonly min: number; readonly max: number };

export interface ListShape<I> {
  readonly kind: 'list';
  readonly of: I;
  readonly min: number;
  readonly max: number;
  /** Whether equal texts are mistakes. */
  readonly unique: boolean;
}

export interface MapShape<V> {
  readonly kind: 'map';
  readonly key: TextShape;
  readonly value: V;
  readonly min: number;
  readonly max: number;
}

export interface Field<S> {
  readonly shape: S;
  readonly required: boolean;
  readonly meaning: string;
  /** In words, where a key that is left out means something. */
  readonly default?: string;
  /** As it would stand after the key. */
  readonly example: string;
}

export type Fields = { readonly [key: string]: Field<Shape> };

export interface ObjectShape<F> {
  readonly kind: 'object';
  readonly name: string;
  readonly fields: F;
}

/** Told apart by what stands there: a text, a list or a mapping. */
export interface EitherShape<S> {
  readonly kind: 'either';
  readonly of: S;
}

/** What the reader makes of a shape. `undefined` inside stands for what was absent or wrong (and then reported). */
export type Read<S> = S extends TextShape
  ? Text
  : S extends ChoiceShape<infer T>
    ? { readonly kind: 'choice'; readonly value: T } & Span
    : S extends WholeShape
      ? { readonly kind: 'whole'; readonly value: number } & Span
      : S extends ListShape<infer I>
        ? { readonly kind: 'list'; readonly items: readonly Read<I>[] } & Span
        : S extends MapShape<infer V>
          ? {
              readonly kind: 'map';
              readonly entries: readonly { readonly key: Text; readonly value: Read<V> | undefined }[];
            } & Span
          : S extends ObjectShape<infer F>
            ? {
                readonly kind: 'object';
                readonly fields: {
                  readonly [K in keyof F]: (F[K] extends Field<infer S> ? Read<S> : never) | undefined;
                };
                /** The keys that stand there, right or wrong. */
                readonly present: ReadonlySet<string>;
              } & Span
            : S extends EitherShape<infer O>
              ? O extends readonly (infer S)[]
                ? Read<S>
                : never
              : never;

/** Any of these, where the shape is not known before the program runs. */
export type Value =
  | Text
  | ({ readonly kind: 'choice'; readonly value: string } & Span)
  | ({ readonly kind: 'whole'; readonly value: number } & Span)
  | ({ readonly kind: 'list'; readonly items: readonly Value[] } & Span)
  | ({
      readonly kind: 'map';
      readonly entries: readonly { readonly key: Text; readonly value: Value | undefined }[];
    } & Span)
  | ({
      readonly kind: 'object';
      readonly fields: Readonly<Record<string, Value | undefined>>;
      readonly present: ReadonlySet<string>;
    } & Span);

export type Text = { readonly kind: 'text'; readonly text: string } & Span;

export function text(what: string, pattern: RegExp, maxLength: number): TextShape {
  return { kind: 'text', what, pattern, maxLength, check: 'pattern' };
}

/** A text in a small language: `grammar.ts` has its parser, `pattern` is for editors. */
export function language(what: string, pattern: RegExp, maxLength: number): TextShape {
  return { kind: 'text', what, pattern, maxLength, check: 'grammar' };
}

export function choice<const T extends string>(what: string, of: readonly T[]): ChoiceShape<T> {
  return { kind: 'choice', what, of };
}

export function whole(min: number, max: number): WholeShape {
  return { kind: 'whole', min, max };
}

type Bounds = { readonly min?: number; readonly max: number };

export function list<I extends Shape>(
  of: I,
  { min = 1, max, unique = true }: Bounds & { readonly unique?: boolean },
): ListShape<I> {
  return { kind: 'list', of, min, max, unique };
}

export function map<V extends Shape>(key: TextShape, value: V, { min = 0, max }: Bounds): MapShape<V> {
  return { kind: 'map', key, value, min, max };
}

export function object<F extends Fields>(name: string, fields: F): ObjectShape<F> {
  return { kind: 'object', name, fields };
}

export function either<S extends readonly PlainShape[]>(...of: S): EitherShape<S> {
  return { kind: 'either', of };
}

export function required<S extends Shape>(
  shape: S,
  facts: Omit<Field<Shape>, 'shape' | 'required' | 'default'>,
): Field<S> {
  return { shape, required: true, ...facts };
}

export function optional<S extends Shape>(
  shape: S,
  facts: Omit<Field<Shape>, 'shape' | 'required'>,
): Field<S> {
  return { shape, required: false, ...facts };
}
