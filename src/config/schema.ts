/** A JSON Schema of the configuration file, for editors. */
import { z } from 'zod';

import { databaseSchema, userSchema } from './entries.ts';
import { helpOf } from './setting.ts';
import { settingsSchema } from './settings.ts';

const root = z.strictObject({
  ostler: settingsSchema.optional(),
  databases: z.record(z.string(), databaseSchema).optional(),
  users: z.record(z.string(), userSchema).optional(),
});

export function configSchema(): object {
  return z.toJSONSchema(root, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const help = helpOf(zodSchema);
      if (help !== undefined) jsonSchema.description = help;
    },
  });
}
