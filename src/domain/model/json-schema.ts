import { assertNever } from '#base/error';
import type { Field, Shape, TextShape } from './shape.ts';
import { MODEL } from './vocabulary.ts';

/**
 * The JSON Schema of the model language (draft 2020-12), for editors. It knows the shape of a model and not what its
 * names mean: whatever `parseModel` accepts it accepts, not the reverse.
 */
export function modelJsonSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://ringwall.dev/schema/v1/ringwall.schema.json',
    title: 'Ringwall model',
    ...schemaOf(MODEL),
  };
}

function schemaOf(shape: Shape): object {
  switch (shape.kind) {
    case 'text':
      return schemaOfText(shape);
    case 'choice':
      return { enum: shape.of };
    case 'whole':
      return { type: 'integer', minimum: shape.min, maximum: shape.max };
    case 'list':
      return {
        type: 'array',
        items: schemaOf(shape.of),
        ...(shape.min > 0 ? { minItems: shape.min } : {}),
        maxItems: shape.max,
        ...(shape.unique ? { uniqueItems: true } : {}),
      };
    case 'map':
      return {
        type: 'object',
        propertyNames: schemaOfText(shape.key),
        additionalProperties: schemaOf(shape.value),
        ...(shape.min > 0 ? { minProperties: shape.min } : {}),
        maxProperties: shape.max,
      };
    case 'object': {
      const fields = Object.entries(shape.fields);
      return {
        type: 'object',
        properties: Object.fromEntries(fields.map(([key, field]) => [key, schemaOfField(field)])),
        required: fields.filter(([, field]) => field.required).map(([key]) => key),
        additionalProperties: false,
      };
    }
    case 'either':
      return { anyOf: shape.of.map(schemaOf) };
    default:
      return assertNever(shape);
  }
}

function schemaOfText({ pattern, maxLength, bare }: TextShape): object {
  return bare === true
    ? { type: ['string', 'number', 'boolean'], maxLength }
    : { type: 'string', pattern: pattern.source, maxLength };
}

function schemaOfField({ shape, meaning, default: byDefault }: Field<Shape>): object {
  const description = byDefault === undefined ? meaning : `${meaning} Default: ${byDefault}.`;
  return { description, ...schemaOf(shape) };
}
