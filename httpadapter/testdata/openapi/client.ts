// A client of the routes as somebody would write it, with the types that
// openapi-typescript makes of openapi.json. It is type-checked, and never run.
import type { components, operations, paths } from "./openapi";

type Run = components["schemas"]["Run"];
type Row = components["schemas"]["ShownRow"];
type Reply<Name extends keyof operations, Status extends keyof operations[Name]["responses"]> =
  operations[Name]["responses"][Status] extends { content: infer Content } ? Content[keyof Content] : never;
type Body<Name extends keyof operations> =
  operations[Name] extends { requestBody: { content: { "application/json": infer Content } } } ? Content : never;

const bearer = { Authorization: "Bearer token", "Content-Type": "application/json" };

async function startRun(base: string, body: Body<"startRun">): Promise<Run> {
  const path = "/upkeep/v1/updates/runs" satisfies keyof paths;
  const response = await fetch(base + path, { method: "POST", headers: bearer, body: JSON.stringify(body) });
  switch (response.status) {
    case 202:
      return (await response.json()) as Reply<"startRun", 202>;
    case 409:
      throw new Error(why((await response.json()) as Reply<"startRun", 409>));
    default:
      throw new Error(((await response.json()) as Reply<"startRun", 500>).title);
  }
}

// why shows that the types of problems are known, by status.
function why(problem: Reply<"startRun", 409>): string {
  switch (problem.type) {
    case "urn:upkeep:problem:in-progress":
      return "try again later";
    case "urn:upkeep:problem:up-to-date":
      return "there is nothing to do";
    default:
      return problem.detail ?? problem.title;
  }
}

// isDone knows every state there is: a new one would not compile.
function isDone(run: Run): boolean {
  switch (run.state) {
    case "running":
    case "rolling_back":
      return false;
    case "succeeded":
    case "rolled_back":
    case "cancelled":
    case "failed":
    case "": // a record that is damaged
      return true;
  }
}

async function update(base: string): Promise<string> {
  const body: Body<"updatePackage"> = { api_token: "token", package: "demo/site" };
  const response = await fetch(base + "/api/v1/update", { method: "POST", body: JSON.stringify(body) });
  const reply = (await response.json()) as Reply<"updatePackage", 200>;
  return reply.status === "success" ? (reply.version ?? "") : reply.message;
}

async function rows(base: string, query: operations["lvListRows"]["parameters"]["query"]): Promise<Row[]> {
  const { visitor, ...rest } = query;
  const names = new URLSearchParams({ authid: "id", authkey: "key", ...visitor });
  for (const [name, value] of Object.entries(rest)) names.set(name, String(value));
  const response = await fetch(`${base}/lv/prod?${names}`);
  if (!response.ok) throw new Error(((await response.json()) as Reply<"lvListRows", 404>).msg);
  return ((await response.json()) as Reply<"lvListRows", 200>).data;
}

// publish has to say who does it.
function publish(base: string, staff: operations["lvPublishRow"]["parameters"]["header"], id: string): Promise<Response> {
  return fetch(`${base}/lv/publish/${encodeURIComponent(id)}?appid=shop&schemaid=banners`, { method: "POST", headers: { ...staff } });
}

// upload sends a bundle as a browser's form does.
async function upload(base: string, bundle: Blob): Promise<components["schemas"]["FirmwareRun"]> {
  const form = new FormData();
  form.set("file" satisfies keyof operations["uploadFirmware"]["requestBody"]["content"]["multipart/form-data"], bundle);
  const response = await fetch(base + "/upkeep/v1/firmware/upload?reason=friday", {
    method: "POST", headers: { Authorization: "Bearer token" }, body: form,
  });
  if (response.status === 422) throw new Error(((await response.json()) as Reply<"uploadFirmware", 422>).type);
  return (await response.json()) as Reply<"uploadFirmware", 202>;
}

// pulled is how much of an image has come, by the documented status.
async function pulled(base: string): Promise<number> {
  const response = await fetch(base + ("/api/update/status" satisfies keyof paths), { credentials: "include" });
  const { status } = (await response.json()) as Reply<"getUpdateStatus", 200>;
  return status.state === 4 ? status.progress : 0;
}

export async function main(base: string): Promise<void> {
  const run = await startRun(base, { package: "demo/site", reason: "friday" });
  const live: components["schemas"]["Package"]["run"] = isDone(run) ? null : run;
  const first = (await rows(base, { appid: "shop", schemaid: "banners", size: 10, visitor: { "env.content": "hello" } }))[0];
  console.log(live?.percent, first?._id, first?.["title"], await update(base));
  await publish(base, { Staffname: "ann" }, first?._id ?? "");
  console.log((await upload(base, new Blob())).state === "trial", await pulled(base));
  // @ts-expect-error: a package is needed
  await startRun(base, { reason: "friday" });
  // @ts-expect-error: Staffname is needed
  await publish(base, {}, "a");
  // @ts-expect-error: there is no such state
  run.state = "done";
}
