// An nginx in front of Drover, with its default buffering and time-outs.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "./places.mjs";
import { folder, freePort, ready, start } from "./process.mjs";

// What everyday configurations add.
const HEADERS = `
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;`;

// Two ways to write the same thing. nginx speaks HTTP/1.0 to what is behind it unless it is told otherwise: one is told.
const keeps = (base, to) => `
    location ${base} {
      proxy_pass ${to};${HEADERS}
    }`;
const strips = (base, to) => `
    location = ${base} {
      proxy_pass ${to}/;
      proxy_http_version 1.1;${HEADERS}
    }
    location ${base}/ {
      proxy_pass ${to}/;
      proxy_http_version 1.1;${HEADERS}
    }`;

/** Starts nginx before a Drover; gives the two addresses at which it answers. */
export async function startNginx(drover) {
  const path = folder();
  const [keep, strip] = [await freePort(), await freePort()];
  const server = (port, location) => `
  server {
    listen 127.0.0.1:${port};${location(drover.base, drover.origin)}
  }`;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    join(path, "nginx.conf"),
    `
daemon off;
master_process off;
pid ${path}/pid;
error_log ${path}/error.log;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${path}/${name};`).join("\n  ")}
${server(keep, keeps)}
${server(strip, strips)}
}
`,
  );
  const args = ["-p", path, "-c", join(path, "nginx.conf"), "-e", join(path, "error.log")];
  const child = start(program("nginx"), args);
  await ready(child, "nginx", async () => (await fetch(`http://127.0.0.1:${keep}${drover.base}/readyz`)).status > 0);
  return { keep: `http://127.0.0.1:${keep}`, strip: `http://127.0.0.1:${strip}` };
}
