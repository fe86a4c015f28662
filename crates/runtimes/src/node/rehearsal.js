// The function of the rehearsal: see ahead.cjs.
'use strict';

exports.handler = async () => null;
