// The function of the rehearsal as a module: see ahead.cjs.
export const handler = async () => null;
