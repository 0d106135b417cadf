// An nginx in front of Drover, with its default buffering and time-outs.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { PROXY_SECRET } from "./drover.mjs";
import { program } from "./places.mjs";
import { folder, freePort, ready, start } from "./process.mjs";

// What everyday configurations add.
const HEADERS = `
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;`;

// What a proxy adds that has signed somebody in. Both are set, so that what a browser sends under these names is gone.
const IDENTITY = `
      proxy_set_header X-Forwarded-User someone;
      proxy_set_header X-Forwarded-Groups "";
      proxy_set_header X-Drover-Proxy-Secret "${PROXY_SECRET}";`;

// Two ways to write the same thing. nginx speaks HTTP/1.0 to what is behind it unless it is told otherwise: one is told.
const keeps = (base, to) => `
    location ${base} {
      proxy_pass ${to};${HEADERS}${IDENTITY}
    }`;
const strips = (base, to) => `
    location = ${base} {
      proxy_pass ${to}/;
      proxy_http_version 1.1;${HEADERS}${IDENTITY}
    }
    location ${base}/ {
      proxy_pass ${to}/;
      proxy_http_version 1.1;${HEADERS}${IDENTITY}
    }`;

/** Starts nginx before a Drover; gives the two addresses at which it answers. */
export async function startNginx(drover) {
  const [keep, strip] = [await freePort(), await freePort()];
  const server = (port, location) => `
  server {
    listen 127.0.0.1:${port};${location(drover.base, drover.origin)}
  }`;
  await run(server(keep, keeps) + server(strip, strips), `http://127.0.0.1:${keep}${drover.base}/readyz`);
  return { keep: `http://127.0.0.1:${keep}`, strip: `http://127.0.0.1:${strip}` };
}

/** Starts one that encrypts and speaks HTTP/2, before a Drover that signs people in itself. */
export async function startTls(drover, port) {
  const path = folder();
  const [key, certificate] = [join(path, "key.pem"), join(path, "certificate.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  const pair = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...pair, "-keyout", key, "-out", certificate, ...subject], { stdio: "ignore" });
  const server = `
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    location ${drover.base} {
      proxy_pass ${drover.origin};${HEADERS}
    }
  }`;
  await run(server, null, async () => await open(port));
}

/** Whether a port takes connections. */
function open(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.end());
  });
}

async function run(servers, probe, isUp = async () => (await fetch(probe)).status > 0) {
  const path = folder();
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
${servers}
}
`,
  );
  const args = ["-p", path, "-c", join(path, "nginx.conf"), "-e", join(path, "error.log")];
  await ready(start(program("nginx"), args), "nginx", isUp);
}
