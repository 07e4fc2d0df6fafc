/**
 * The SQLSTATEs that ostler itself sends or acts on.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export const SqlState = {
  successfulCompletion: '00000',
  connectionFailure: '08006',
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  invalidParameterValue: '22023',
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  invalidCatalogName: '3D000',
  undefinedStatement: '26000',
  duplicateStatement: '42P05',
  insufficientPrivilege: '42501',
  syntaxError: '42601',
  nameTooLong: '42622',
  undefinedObject: '42704',
  tooManyConnections: '53300',
  configurationLimitExceeded: '53400',
  programLimitExceeded: '54000',
  objectNotInPrerequisiteState: '55000',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  cannotConnectNow: '57P03',
  idleSessionTimeout: '57P05',
  idleInTransactionSessionTimeout: '25P03',
  transactionTimeout: '25P04',
  configFileError: 'F0000',
  internalError: 'XX000',
} as const;

export type SqlState = (typeof SqlState)[keyof typeof SqlState];
