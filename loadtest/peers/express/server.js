// An Express application with its defaults (no case, no strict slash): each route says its name.
// Arguments: a port, and the routes as JSON, [["name", "/path/:parameter"], ...], in their order.
"use strict";
const express = require("express");
const [port, routes] = process.argv.slice(2);
const application = express();
for (const [name, path] of JSON.parse(routes)) {
  application.get(path, (request, response) => response.type("text/plain").send(`route=${name}`));
}
application.use((request, response) => response.type("text/plain").send("route=none"));
application.use((error, request, response, next) => response.status(400).send("route=none"));
application.listen(Number(port), "127.0.0.1");
