import { Compile } from 'typebox/compile';
import { Type, type Static, type TProperties, type TSchema } from 'typebox';
import { CodedError } from '#base/error';

export class SchemaError extends CodedError<'not-json' | 'wrong-shape'> {}

export type Schema<T> = {
  readonly is: (value: unknown) => value is T;
  /** @throws {SchemaError} `wrong-shape`, naming the first place that differs */
  readonly check: (value: unknown) => T;
  /** @throws {SchemaError} `not-json` or `wrong-shape` */
  readonly parse: (json: string) => T;
};

/** An object that allows the given keys and no others. */
export function closed<P extends TProperties>(properties: P) {
  return Type.Object(properties, { additionalProperties: false });
}

/** @param name what the value is, for messages: `bundle`, `stream message` */
export function compileSchema<S extends TSchema>(name: string, type: S): Schema<Static<S>> {
  // Compiled at first use: a process pays only for the shapes that it reads.
  let compiled: ReturnType<typeof Compile<S>> | undefined;
  const validator = () => (compiled ??= Compile(type));

  const is = (value: unknown): value is Static<S> => validator().Check(value);
  const check = (value: unknown): Static<S> => {
    if (is(value)) return value;
    const first = validator().Errors(value)[0];
    const where = first === undefined || first.instancePath === '' ? '' : ` at ${first.instancePath}`;
    throw new SchemaError('wrong-shape', `${name}${where} ${first?.message ?? 'has the wrong shape'}`);
  };
  const parse = (json: string): Static<S> => {
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch (error) {
      throw new SchemaError('not-json', `${name} is not JSON`, { cause: error });
    }
    return check(value);
  };
  return { is, check, parse };
}
