/** DISABLE and ENABLE: whether new clients may log in to a database. */
import { checkDatabase, type Control } from './control.ts';

export const disable: Control = {
  argument: 'database',
  usage: '<db>',
  run(context, database = '') {
    checkDatabase(context, 'disable', database);
    context.host.pooler.pools.disable(database);
    return { tag: 'DISABLE' };
  },
};

export const enable: Control = {
  argument: 'database',
  usage: '<db>',
  run(context, database = '') {
    checkDatabase(context, 'enable', database);
    context.host.pooler.pools.enable(database);
    return { tag: 'ENABLE' };
  },
};
