// Runs the checks of a script one after the other and prints each that has passed; ends with an error at the first that
// has not. Never retries a check.
"use strict";

// `checks`: functions by name. `close` ends the script's connections.
module.exports = async function run(checks, close) {
    try {
        for (const [name, check] of Object.entries(checks)) {
            await check();
            console.log(name);
        }
        close();
    } catch (error) {
        console.error(error);
        process.exit(1);
    }
};
