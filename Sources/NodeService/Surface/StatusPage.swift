/// The status page: one file without anything from elsewhere. It asks `/status` every second.
let statusPage = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Storage engine node</title>
    <style>
    :root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e;
      --warn: #9a6700; }
    @media (prefers-color-scheme: dark) {
      :root { --good: #3fb950; --bad: #f85149; --warn: #d29922; }
    }
    body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 66rem;
      padding: 0 1rem; }
    h1 { font-size: 1.4rem; margin: 0 0 .2rem; }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
    dt { opacity: .7; }
    dd { margin: 0; overflow-wrap: anywhere; }
    code, td.number { font-family: ui-monospace, monospace; font-size: .9em; }
    .table { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
    th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
      white-space: nowrap; }
    th.number, td.number { text-align: right; }
    .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
    form { margin: 1rem 0; } [hidden] { display: none; }
    </style>
    </head>
    <body>
    <h1>Storage engine node <span id="state" role="status">…</span></h1>
    <form id="login" hidden>
      <label>Token <input id="token" type="password" autocomplete="off"></label>
      <button>Show</button>
    </form>
    <dl id="facts"></dl>
    <div class="table"><table hidden id="members">
      <thead><tr>
        <th>Member</th><th>Address</th><th>Role</th><th>Link</th>
        <th class="number">Received</th><th class="number">Log</th>
        <th class="number">Disk</th><th class="number">Applied</th>
        <th class="number">Lag</th><th class="number">Lag, bytes</th>
        <th class="number">Lag, age</th><th></th>
      </tr></thead>
      <tbody></tbody>
    </table></div>
    <script>
    "use strict";
    const find = id => document.getElementById(id);
    const number = value => Number(value).toLocaleString("en");
    function bytes(value) {
      const units = ["B", "KiB", "MiB", "GiB", "TiB"];
      let unit = 0;
      while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
      return (unit ? value.toFixed(1) : value) + " " + units[unit];
    }
    const age = value => value < 1000 ? value + " ms" : (value / 1000).toFixed(1) + " s";
    function element(name, text, style) {
      const made = document.createElement(name);
      made.textContent = text;
      if (style) made.className = style;
      return made;
    }
    function state(text, style) {
      find("state").textContent = "· " + text;
      find("state").className = style;
    }
    function facts(rows) {
      find("facts").replaceChildren(...rows.flatMap(([name, text, style]) =>
        [element("dt", name), element("dd", text, style)]));
    }
    function shortfall(status) {
      const fall = status.shortfall;
      if (fall.state === "waiting") {
        const writes = fall.writes === 1 ? "1 write waits" : fall.writes + " writes wait";
        return [writes + " for " + fall.blockers.join(", "), "warn"];
      }
      if (fall.state === "degraded") {
        return ["degraded: " + fall.followers + " followers are waited for", "bad"];
      }
      return ["none: no write waits for a follower", "good"];
    }
    function row(member, status) {
      const made = document.createElement("tr");
      const blocks = (status.shortfall.blockers || []).includes(member.member);
      const own = member.member === status.member;
      const isMissing = status.missing.includes(member.member);
      const known = (value, show) => value === null ? "–" : show(value);
      made.append(
        element("td", member.member.slice(-8) + (own ? " (here)" : "")),
        element("td", member.address || "–"),
        element("td", member.role),
        element("td", member.connected ? "up" : "down", member.connected ? "good" : "bad"));
      for (const point of ["received", "wal", "disk", "applied"]) {
        made.append(element("td", known(member.reached, all => number(all[point])), "number"));
      }
      made.append(
        element("td", known(member.lagSequences, number), "number"),
        element("td", known(member.lagBytes, bytes), "number"),
        element("td", known(member.lagMilliseconds, age), "number"),
        element("td", blocks ? "blocks" : isMissing ? "does not follow" : "", "warn"));
      made.title = member.member;
      return made;
    }
    function show(status) {
      const isWell = status.role === "leader" || status.role === "follower";
      state(status.trouble ? "failing" : status.role,
        status.trouble ? "bad" : isWell ? "good" : "warn");
      facts([
        ["Member", status.member], ["Leader", status.leader || "not known"],
        ...(status.feeder ? [["Fed by", status.feeder]] : []),
        ["History", status.history || "none yet"], ["Position", status.position],
        ["Epoch", String(status.epoch)],
        ...(status.replicatedSequence === null ? []
          : [["Replicated", number(status.replicatedSequence)]]),
        ...(status.suspect
          ? [["Suspect", "writes that it acknowledged as leader may be missing", "warn"]] : []),
        ["Shortfall", ...shortfall(status)],
        ...(status.trouble ? [["Trouble", status.trouble, "bad"]] : []),
      ]);
      find("members").hidden = false;
      find("members").tBodies[0].replaceChildren(
        ...status.members.map(member => row(member, status)));
    }
    async function refresh() {
      const token = sessionStorage.getItem("token");
      const headers = token ? { Authorization: "Bearer " + token } : {};
      try {
        const answer = await fetch("status", { headers, cache: "no-store" });
        const needsToken = answer.status === 401 || answer.status === 403;
        find("login").hidden = !needsToken;
        if (answer.ok) show(await answer.json());
        else state(needsToken ? "a token is needed" : "answers " + answer.status, "warn");
      } catch (error) {
        state("not reachable", "bad");
      }
      setTimeout(refresh, 1000);
    }
    find("login").addEventListener("submit", event => {
      event.preventDefault();
      sessionStorage.setItem("token", find("token").value);
    });
    refresh();
    </script>
    </body>
    </html>
    """
