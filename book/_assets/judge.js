// Attributors in the browser: fingerprintlib.forensics.judging, with ONNX Runtime in the place of PyTorch. The engine
// and the networks lie in scripts beside this one, as text: from a folder, browsers load scripts, and nothing else.
"use strict";

const fpJudge = (() => {
  const [UNKNOWN, UNSURE, UNDECIDED] = ["unknown", "unsure", "undecided"];
  const here = document.currentScript.src.replace(/[^/]*$/, "");

  const asked = {};

  /** What fp-NAME.js holds; it is loaded once for the page. */
  function brought(name) {
    return (asked[name] ??= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = `${here}fp-${name}.js`;
      script.onload = () => done(globalThis.fpParts[name]);
      script.onerror = () => failed(new Error(`fp-${name}.js is missing`));
      document.head.append(script);
    }));
  }

  async function unpacked(text) {
    const letters = atob(text), bytes = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Why no network can run here, in a sentence; empty if one can. */
  function hindrance() {
    if (typeof WebAssembly === "undefined") {
      return "This browser has WebAssembly switched off, so no network can run in it.";
    }
    if (typeof DecompressionStream === "undefined" || typeof BigUint64Array === "undefined") {
      return "This browser is too old to run a network: one from 2023 or later can.";
    }
    return "";
  }

  let started;

  /** The engine, once for the page. */
  function engine() {
    started ??= brought("engine").then(async ({ glue, wasm }) => {
      const { ort } = globalThis;
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([glue], { type: "text/javascript" })) };
      ort.env.wasm.wasmBinary = await unpacked(wasm);
      return ort;
    });
    return started;
  }

  /** A network by name, with what its file tells: class names, preprocessing, calibration. */
  async function network(name) {
    const [ort, all] = await Promise.all([engine(), brought("networks")]);
    const { model, ...told } = all[name];
    // To better so small a graph takes longer than it saves.
    const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled" };
    const session = await ort.InferenceSession.create(await unpacked(model), options);
    const { resolution: side, colour } = told.preprocessing;
    let last = Promise.resolve();

    /** Of images of its size: [{logits, fingerprint}]. One batch after the other. */
    function run(images) {
      last = last.catch(() => {}).then(async () => {
        const pixels = new Uint8Array(images.length * side * side * 3);
        images.forEach((image, k) => pixels.set(fpPixels.coloured(image, colour).data, k * side * side * 3));
        const tensor = new ort.Tensor("uint8", pixels, [images.length, side, side, 3]);
        const { logits, fingerprints } = await session.run({ images: tensor });
        return images.map((_, k) => ({ logits: row(logits, k), fingerprint: row(fingerprints, k) }));
      });
      return last;
    }

    return { ...told, names: told.class_names, side, run };
  }

  function row({ data, dims }, k) {
    const size = data.length / dims[0];
    return Array.from(data.subarray(k * size, (k + 1) * size));
  }

  const largest = values => values.indexOf(Math.max(...values));

  function logsumexp(values) {
    const most = Math.max(...values);
    return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
  }

  function softmax(values) {
    const whole = logsumexp(values);
    return values.map(value => Math.exp(value - whole));
  }

  /** calibrating.scores_of. */
  function scoresOf(logits, { temperature, prior }) {
    return logits.map((value, k) => value / temperature - Math.log(prior.length * prior[k]));
  }

  /** Calibration.known_by: below 0 the image is of no known source. */
  function knownBy(scores, { least, most }) {
    const found = logsumexp(scores);
    return Math.min(found - least, most[largest(scores)] - found);
  }

  /** calibrating.evidence_of; null where no source is called real. */
  function evidenceOf(scores, names) {
    const real = names.indexOf("real"), others = scores.filter((_, k) => k !== real);
    return real < 0 ? null : (logsumexp(others) - Math.log(others.length) - scores[real]) / Math.LN10;
  }

  /** judging.Judge.judge of one image of the network's size: a Verdict. */
  async function judged(network, image) {
    const { names, calibration } = network;
    const found = await network.run([image, ...fpPixels.handled(image)]);
    const scores = found.map(({ logits }) => scoresOf(logits, calibration));
    const shares = scores.map(softmax), best = scores.map(largest), mine = shares.map(some => some[best[0]]);
    const verdict = {
      answer: names[best[0]],
      likeliest: names[best[0]],
      scores: scores[0],
      probabilities: shares[0],
      fingerprint: found[0].fingerprint,
      evidence: null,
      origin: UNDECIDED,
      known: knownBy(scores[0], calibration),
      agreeing: best.slice(1).filter(k => k === best[0]).length / (best.length - 1),
      spread: [Math.min(...mine), Math.max(...mine)],
      squares: null,
    };
    const evidence = evidenceOf(scores[0], names), { line, bounds } = calibration;
    verdict.bounds = bounds;
    if (evidence !== null && line !== null && bounds !== null) {
      verdict.evidence = Math.min(Math.max(evidence, bounds[0]), bounds[1]);
      verdict.origin = evidence > line ? "generated" : evidence < 0 ? "real" : UNDECIDED;
    }
    if (verdict.known < 0) Object.assign(verdict, { answer: UNKNOWN, origin: UNDECIDED });
    else if (
      verdict.agreeing < 1 ||
      (verdict.evidence !== null && verdict.answer !== "real" && verdict.origin !== "generated")
    ) {
      verdict.answer = UNSURE;
    }
    return verdict;
  }

  /** What follows for a verdict from the size of the file that the image came from, as in Judge.judge_files. */
  function inViewOf(verdict, network, { width, height }) {
    const length = Math.min(width, height), { preprocessing, provenance, side } = network;
    const answer = verdict.answer === UNKNOWN ? UNKNOWN : UNSURE;
    if (length < side) return { ...verdict, answer, enlarged: true };
    if (length > side && preprocessing.view === "shrunk" && !("folders" in provenance)) {
      return { ...verdict, answer, origin: UNDECIDED, evidence: null, shrunk: true };
    }
    return verdict;
  }

  /** Judge.square_map: of squares [{image}], the source of each, or unknown. */
  async function named(network, squares) {
    const result = [];
    for (let start = 0; start < squares.length; start += 16) {
      const found = await network.run(squares.slice(start, start + 16).map(({ image }) => image));
      for (const { logits } of found) {
        const scores = scoresOf(logits, network.calibration);
        result.push(knownBy(scores, network.calibration) < 0 ? UNKNOWN : network.names[largest(scores)]);
      }
    }
    return result;
  }

  /** What follows from the squares of a large image, by name. */
  function withSquares(verdict, squares) {
    const whole = verdict.answer === UNSURE ? verdict.likeliest : verdict.answer;
    const contrary = squares.filter(name => name !== whole && name !== UNKNOWN).length;
    const torn = squares.length > 0 && 2 * contrary >= squares.length;
    return { ...verdict, squares, ...(torn ? { answer: UNSURE, origin: UNDECIDED } : {}) };
  }

  return { hindrance, brought, engine, network, judged, inViewOf, named, withSquares, largest };
})();
