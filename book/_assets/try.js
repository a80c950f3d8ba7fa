// The page that answers: attribution in the reader's browser, wherever a page has <div class="fp-try">. What stands in
// that div is for browsers in which it cannot run. Its attributes choose what there is:
//   data-networks, data-pictures, data-knobs   names, separated by spaces; all without the attribute
//   data-samples                               images of each source to choose from
//   data-files, data-guess                     whether files can be opened, and whether one may guess first
"use strict";

(() => {
  const NETWORKS = {
    plain: "As it was trained",
    immunized: "Immunized against handling",
  };
  const PICTURES = {
    image: "What the networks see",
    spectrum: "Its spectrum, low frequencies in the middle",
    fingerprint: "Its fingerprint, in grey",
  };
  const STRANGER = "none of them";
  const COLOURS = ["#1b1b1b", "#542788", "#b35806", "#998ec3", "#f1a340", "#5e8c94", "#c7b9a5"];
  const percent = value => `${value}\u00a0%`;
  // In the order in which they are applied; at `neutral` nothing changes.
  const KNOBS = {
    crop: {
      label: "Crop", min: 0, max: 30, step: 1, neutral: 0,
      told: v => `${percent(v)} of the side`, change: (image, v) => fpPixels.cropped(image, v / 100),
    },
    resize: {
      label: "Resize", min: 50, max: 150, step: 1, neutral: 100,
      told: v => `to ${percent(v)} and back`, change: (image, v) => fpPixels.resized(image, v / 100),
    },
    blur: {
      label: "Blur", min: 1, max: 9, step: 2, neutral: 1,
      told: v => `kernel of ${v} pixels`, change: (image, v) => fpPixels.blurred(image, v),
    },
    brightness: {
      label: "Brightness", min: 50, max: 150, step: 5, neutral: 100,
      told: v => percent(v), change: (image, v) => fpPixels.brighter(image, v / 100),
    },
    notch: {
      label: "Notch", min: 0, max: 100, step: 10, neutral: 0,
      told: v => `${percent(v)} of the peaks off`, change: (image, v) => fpPixels.notched(image, v / 100),
    },
    jpeg: {
      label: "JPEG", min: 0, max: 95, step: 5, neutral: 0,
      told: v => `quality ${100 - v}`, change: (image, v) => fpJpeg.saved(image, 100 - v),
    },
    noise: {
      label: "Noise", min: 0, max: 50, step: 1, neutral: 0,
      told: v => `variance ${v}`, change: (image, v) => fpPixels.noisy(image, v, 1),
    },
  };

  // --- words ----------------------------------------------------------------------------------------

  /** Why an answer is what it is, in a sentence; empty of a plain one. */
  function reason(verdict) {
    if (verdict.answer === "unknown") return "It is like nothing that this network has learned.";
    if (verdict.answer !== "unsure") return "";
    if (verdict.enlarged) return "The image is smaller than what the network sees, and was enlarged.";
    if (verdict.shrunk) return "The image had to be shrunk, which takes fingerprints away.";
    if (verdict.agreeing < 1) {
      const [low, high] = verdict.spread.map(share => percent(Math.round(100 * share)));
      return `The answer depends on how the image is handled: ${verdict.likeliest} has ${low} to ${high}.`;
    }
    if (verdict.squares && verdict.origin === "undecided") return "Its squares say something else.";
    return "It looks generated, but not so clearly that anybody may be accused.";
  }

  /** As wording.origin_in_words. */
  function originOf(verdict) {
    if (verdict.answer === "unknown" || verdict.evidence === null) return "";
    const times = 10 ** Math.abs(verdict.evidence);
    if (times < 2) return "About as likely generated as a photograph.";
    const digits = 10 ** Math.max(0, String(Math.trunc(times)).length - 2);
    const count = (Math.floor(Math.trunc(times) / digits) * digits).toLocaleString("en");
    const least = verdict.bounds.includes(verdict.evidence) ? "At least" : "About";
    const sides = verdict.evidence > 0 ? "generated than a photograph" : "a photograph than generated";
    return `${least} ${count} times likelier ${sides}.`;
  }

  // --- pieces of a page -----------------------------------------------------------------------------

  function element(kind, attributes = {}, ...children) {
    const made = document.createElement(kind);
    for (const [name, value] of Object.entries(attributes)) {
      if (name in made && typeof value !== "string") made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const button = (text, attributes, onclick) => element("button", { type: "button", onclick, ...attributes }, text);

  function shown(canvas, image, words) {
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").putImageData(fpPixels.toImageData(image), 0, 0);
    canvas.setAttribute("aria-label", words);
  }

  /** Numbers [n * channels] as an image of the same side, from `low` to `high`. */
  function picture(values, side, channels, low, high) {
    const image = fpPixels.made(side, side);
    for (let at = 0; at < image.data.length; at++) {
      const value = values[channels === 3 ? at : Math.floor(at / 3)];
      image.data[at] = Math.round((255 * (value - low)) / (high - low || 1));
    }
    return image;
  }

  function quantile(values, share) {
    const ordered = Float64Array.from(values).sort(), place = share * (ordered.length - 1), below = Math.floor(place);
    return ordered[below] + (place - below) * (ordered[Math.min(below + 1, ordered.length - 1)] - ordered[below]);
  }

  /** The mean of the channels, as chapter 5 shows it, in the contrast of plots.fingerprints.stretch. */
  function stretched(fingerprint, side) {
    const grey = Float64Array.from({ length: side * side }, (_, at) =>
      (fingerprint[3 * at] + fingerprint[3 * at + 1] + fingerprint[3 * at + 2]) / 3);
    const mean = grey.reduce((a, b) => a + b) / grey.length;
    const widest = quantile(grey.map(value => Math.abs(value - mean)), 0.99);
    return picture(grey, side, 1, mean - widest, mean + widest);
  }

  /** The words of an attribute, or all that there are. */
  function chosen(root, attribute, all) {
    const given = root.dataset[attribute];
    return given === undefined ? Object.keys(all) : given.split(/\s+/).filter(word => word in all);
  }

  // --- one widget -----------------------------------------------------------------------------------

  class Widget {
    constructor(root) {
      this.root = root;
      this.knobs = Object.fromEntries(chosen(root, "knobs", KNOBS).map(name => [name, KNOBS[name].neutral]));
      this.networkNames = chosen(root, "networks", NETWORKS);
      this.pictureNames = chosen(root, "pictures", PICTURES);
      this.turn = 0; // of the last question: an answer to an older one is not shown
      this.coming = 0; // of the last image that was asked for: an older one that comes later is not taken
      this.opening = {};
      this.score = { asked: 0, reader: 0, network: 0 };
    }

    async start() {
      const hindrance = fpJudge.hindrance();
      if (hindrance) return this.giveUp(hindrance);
      this.fallback = [...this.root.childNodes];
      this.root.replaceChildren((this.status = element("p", { role: "status", class: "fp-status" })));
      this.say("Loading the networks ...");
      try {
        fpJudge.engine().catch(() => {}); // it starts meanwhile; what fails is told where it is used
        const networks = fpJudge.brought("networks");
        this.samples = await fpJudge.brought("samples");
        this.build((await networks)[this.networkNames[0]].class_names);
        await this.choose(...this.sample(1));
      } catch (error) {
        console.warn(error);
        this.giveUp(`The networks could not be started here (${error.message}).`);
      }
    }

    /** A network by name, opened when it is first asked. */
    network(name) {
      return (this.opening[name] ??= fpJudge.network(name));
    }

    giveUp(sentence) {
      const still = "The figures and tables of the book show what they would answer.";
      this.root.prepend(element("p", { role: "status", class: "fp-status" }, `${sentence} ${still}`));
      if (this.fallback) this.root.replaceChildren(this.root.firstChild, ...this.fallback);
      this.root.dataset.state = "failed";
    }

    say(text, state = "") {
      this.status.textContent = text;
      this.root.dataset.state = state;
    }

    sample(number) {
      const [source, urls] = Object.entries(this.samples)[number];
      return [source, 0, urls[0]];
    }

    // --- what there is to be seen ---------------------------------------------------------------------

    build(names) {
      this.names = names;
      if (this.root.dataset.guess !== undefined) this.root.prepend(this.guessing());
      // Whoever chooses an image sees it and the answer below; whoever turns a knob, above: on a telephone, too.
      const parts = [this.chooser(), this.stage(), this.answers(), this.controls(), this.responses()];
      this.root.append(...parts.filter(Boolean));
      if (this.root.dataset.files !== undefined) { // beside the widget, too, or the browser would leave the page
        document.addEventListener("dragover", event => event.preventDefault());
        document.addEventListener("drop", event => this.dropped(event));
      }
    }

    chooser() {
      const most = Number(this.root.dataset.samples ?? 4);
      const rows = Object.entries(this.samples).map(([source, urls]) => {
        const group = element("div", { class: "fp-samples", role: "group", "aria-label": `Images of ${source}` });
        group.append(element("span", {}, source, ...(this.names.includes(source) ? [] : [element("small", {}, "a stranger")])));
        urls.slice(0, most).forEach((url, k) => {
          const image = element("img", { src: url, alt: `image ${k + 1} of the source ${source}`, width: 64, height: 64 });
          const press = () => this.choose(source, k, url);
          group.append(button(image, { "aria-pressed": "false", "data-sample": `${source} ${k}` }, press));
        });
        return group;
      });
      const parts = [element("legend", {}, "Choose an image")];
      if (this.root.dataset.files !== undefined) {
        const input = element("input", { type: "file", accept: "image/*" });
        input.addEventListener("change", () => {
          if (input.files.length) this.opened(input.files[0]);
          input.value = ""; // so that the same file can be opened again
        });
        const words = "Open or photograph one of your own, or drop a file here: ";
        parts.push(element("label", { class: "fp-file" }, words, input));
        parts.push(element("p", { class: "fp-privacy" },
          "Your images never leave this machine: no server is asked. Or take one of these:"));
      }
      return (this.choice = element("fieldset", {}, ...parts, element("div", { class: "fp-sources" }, ...rows)));
    }

    stage() {
      this.canvases = {};
      const figures = [...this.pictureNames, "map"].map(name => {
        const words = name === "map" ? "What squares of it are said to be" : PICTURES[name];
        this.canvases[name] = element("canvas", { role: "img", "aria-label": words });
        return element("figure", { hidden: name === "map", "data-picture": name }, this.canvases[name],
          element("figcaption", {}, words));
      });
      return element("div", { class: "fp-stage" }, ...figures);
    }

    answers() {
      this.told = Object.fromEntries(this.networkNames.map(name => [name, element("p")]));
      return (this.result = element("div", { class: "fp-answers", "aria-live": "polite" }, ...Object.values(this.told)));
    }

    responses() {
      const titles = this.networkNames.map(name => element("th", { scope: "col" }, NETWORKS[name]));
      this.rows = this.names.map(source => {
        const cells = this.networkNames.map(() => element("td"));
        return { cells, row: element("tr", {}, element("th", { scope: "row" }, source), ...cells) };
      });
      const caption = "How strongly each source responds (bar), and its probability if the image is of one of them";
      return (this.table = element("table", { class: "fp-responses" }, element("caption", {}, caption),
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "source"), ...titles)),
        element("tbody", {}, ...this.rows.map(({ row }) => row))));
    }

    controls() {
      if (!Object.keys(this.knobs).length) return null;
      this.sliders = Object.keys(this.knobs).map(name => {
        const { label, min, max, step, neutral, told } = KNOBS[name];
        const value = element("output"), input = element("input", { type: "range" });
        Object.assign(input, { min, max, step, value: neutral });
        const tell = () => {
          value.textContent = Number(input.value) === neutral ? "as it is" : told(Number(input.value));
          input.setAttribute("aria-valuetext", value.textContent);
        };
        input.addEventListener("input", () => {
          tell();
          this.knobs[name] = Number(input.value);
          this.refresh();
        });
        tell();
        return { label: element("label", {}, element("span", {}, label), input, value), reset: () => {
          input.value = this.knobs[name] = neutral;
          tell();
        } };
      });
      const reset = button("Back to the image as it is", {}, () => {
        this.sliders.forEach(slider => slider.reset());
        this.refresh();
      });
      const all = this.sliders.map(({ label }) => label);
      return (this.turning = element("fieldset", { },
        element("legend", {}, "Change it"), element("div", { class: "fp-knobs" }, ...all), reset));
    }

    // --- guess first ----------------------------------------------------------------------------------

    guessing() {
      this.guesses = element("div", { class: "fp-guesses", hidden: true });
      this.tally = element("p", { role: "status" });
      this.toggle = button("Guess first", {}, () => {
        this.guess = !this.guess;
        this.toggle.textContent = this.guess ? "Stop guessing" : "Guess first";
        for (const part of [this.choice, this.turning]) if (part) part.hidden = this.guess;
        this.guesses.hidden = !this.guess;
        this.tally.textContent = "";
        if (this.guess) this.asking = this.ask();
        else this.reveal(true);
      });
      const buttons = [...this.names, STRANGER].map(name => button(name, {}, () => this.guessed(name)));
      this.next = button("Next image", { hidden: true }, () => {
        this.asking = this.ask();
        buttons[0].focus(); // this one is gone
      });
      this.guesses.append(element("p", {}, "Where is this image from?"), ...buttons, this.next);
      return element("div", { class: "fp-guess" }, this.toggle, this.guesses, this.tally);
    }

    reveal(open) {
      this.result.hidden = this.table.hidden = !open;
      for (const figure of this.root.querySelectorAll("figure")) {
        if (figure.dataset.picture !== "map") figure.hidden = !open && figure.dataset.picture !== "image";
      }
      if (this.next) this.next.hidden = !open;
      for (const one of this.guesses?.querySelectorAll("button") ?? []) if (one !== this.next) one.disabled = open;
    }

    ask() {
      const sources = Object.keys(this.samples), source = sources[Math.floor(Math.random() * sources.length)];
      const k = Math.floor(Math.random() * this.samples[source].length);
      this.sliders?.forEach(slider => slider.reset());
      this.reveal(false);
      this.tally.textContent = "";
      return this.choose(source, k, this.samples[source][k]);
    }

    async guessed(name) {
      await this.asking;
      await this.answering;
      if (!this.verdicts) return; // no answer, as the page has said
      const truth = this.names.includes(this.truth) ? this.truth : STRANGER;
      const said = this.verdicts[this.networkNames.at(-1)].answer, right = { reader: name === truth };
      right.network = (said === "unknown" ? STRANGER : said) === truth;
      this.score.asked += 1;
      for (const who of ["reader", "network"]) this.score[who] += right[who];
      const is = truth === STRANGER ? `a stranger's (${this.truth})` : `of ${truth}`;
      const { asked, reader, network } = this.score;
      this.reveal(true);
      this.tally.textContent = `${right.reader ? "Right" : "No"}: it is ${is}. The network says ${said}. ` +
        `Right so far: you ${reader} of ${asked}, the network ${network} of ${asked}.`;
      this.next.focus();
    }

    // --- images that come in --------------------------------------------------------------------------

    async choose(source, k, url) {
      const turn = ++this.coming;
      this.root.dataset.state = "judging";
      for (const one of this.root.querySelectorAll("[data-sample]")) {
        one.setAttribute("aria-pressed", String(one.dataset.sample === `${source} ${k}`));
      }
      const image = element("img");
      image.src = url;
      await image.decode();
      const readable = fpPixels.readable(await createImageBitmap(image), source);
      if (turn !== this.coming) return;
      this.truth = source;
      await this.take(readable, this.guess ? "the image to guess" : `an image of ${source}`);
    }

    async dropped(event) {
      event.preventDefault();
      const { items, files } = event.dataTransfer;
      if ([...items].some(item => item.webkitGetAsEntry?.()?.isDirectory)) {
        return this.refuse("That is a folder. Drop one image; the command fingerprints attribute judges folders.");
      }
      if (!files.length) return this.refuse("That is no file. Save the image first, then drop or open the file.");
      if (files.length > 1) return this.refuse(`Those are ${files.length} files. Drop one at a time.`);
      return this.opened(files[0]);
    }

    refuse(sentence) {
      this.say(sentence, "refused");
    }

    async opened(file) {
      const turn = ++this.coming;
      if (this.guess) this.toggle.click(); // whoever brings an image does not guess
      this.say(`Reading ${file.name} ...`, "judging");
      try {
        const source = await fpPixels.open(file, file.name || "The image");
        if (turn !== this.coming) return;
        this.truth = null;
        await this.take(source, file.name);
      } catch (error) {
        if (turn !== this.coming) return;
        if (!(error instanceof fpPixels.ImageError)) console.warn(error);
        const known = error instanceof fpPixels.ImageError;
        this.refuse(known ? error.message : `${file.name} cannot be read here. Save it again as PNG.`);
      }
    }

    async take(source, name) {
      const { resolution, view } = (await fpJudge.brought("networks"))[this.networkNames[0]].preprocessing;
      const image = fpPixels.seen(source, resolution, view), squares = fpPixels.squares(source, resolution).flat();
      Object.assign(this, { source, name, image, squares: squares.length > 1 ? squares : [], named: null });
      this.canvases.map.parentElement.hidden = true;
      if (!this.truth) for (const one of this.root.querySelectorAll("[data-sample]")) one.ariaPressed = "false";
      await this.refresh();
    }

    // --- the answer -----------------------------------------------------------------------------------

    refresh() {
      this.root.dataset.state = "judging";
      this.answering = this.answer().catch(error => {
        console.warn(error);
        this.say(`The networks gave no answer here (${error.message}).`, "failed");
      });
      return this.answering;
    }

    async answer() {
      const turn = ++this.turn, outdated = () => turn !== this.turn;
      let image = this.image;
      for (const [name, value] of Object.entries(this.knobs)) {
        if (value !== KNOBS[name].neutral) image = KNOBS[name].change(image, value);
      }
      if (outdated()) return;
      this.draw(image);
      const verdicts = {};
      for (const name of [...this.networkNames].reverse()) { // the immunized one first: it is the one to believe
        verdicts[name] = await this.verdict(await this.network(name), name, image);
        if (outdated()) return;
        this.tell(name, verdicts[name]);
      }
      if (this.canvases.fingerprint) {
        const visualizer = await this.network("visualizer"), [{ fingerprint }] = await visualizer.run([image]);
        if (outdated()) return;
        const words = `The fingerprint of ${this.name}: what an autoencoder does not give back of it.`;
        shown(this.canvases.fingerprint, stretched(fingerprint, visualizer.side), words);
      }
      this.verdicts = verdicts;
      this.say("Ready. Everything runs in this page, on this machine.", "ready");
    }

    async verdict(network, name, image) {
      const verdict = fpJudge.inViewOf(await fpJudge.judged(network, image), network, this.source);
      if (!this.squares.length || name !== this.networkNames.at(-1)) return verdict; // squares are asked of one only
      this.named ??= await fpJudge.named(network, this.squares);
      this.map(this.named, network.side);
      return fpJudge.withSquares(verdict, this.named);
    }

    draw(image) {
      const spectrum = fpPixels.spectrum(image), low = quantile(spectrum, 0.01), high = quantile(spectrum, 0.999);
      const { canvases, name } = this;
      shown(canvases.image, image, `${name}, ${image.width} by ${image.height} pixels, as changed.`);
      if (canvases.spectrum) {
        const words = `The spectrum of ${name}: the logarithm of the power at each frequency.`;
        shown(canvases.spectrum, picture(spectrum, image.width, 1, low, high), words);
      }
    }

    tell(name, verdict) {
      const { scores, probabilities } = verdict, place = this.networkNames.indexOf(name);
      const low = Math.min(0, ...scores), high = Math.max(0, ...scores), span = high - low || 1;
      this.rows.forEach(({ cells }, source) => {
        const bar = element("span", { class: "fp-bar" }), track = element("span", { class: "fp-track" }, bar);
        bar.style.width = percentage(Math.abs(scores[source]) / span);
        bar.style.marginLeft = percentage((Math.min(0, scores[source]) - low) / span);
        const share = percent((100 * probabilities[source]).toFixed(1));
        const response = element("span", { class: "fp-response" }, scores[source].toFixed(1).replace("-", "\u2212"));
        cells[place].replaceChildren(track, response, element("span", { class: "fp-share" }, share));
        cells[place].className = source === fpJudge.largest(scores) ? "fp-best" : "";
      });
      const likely = `${verdict.likeliest}, ${percent((100 * Math.max(...probabilities)).toFixed(1))}`;
      const sure = verdict.answer === "unknown" ? "" : `The likeliest: ${likely}.`;
      const words = [sure, reason(verdict), originOf(verdict)].filter(Boolean).join(" ");
      this.told[name].replaceChildren(`${NETWORKS[name]}: `, element("strong", {}, verdict.answer), `. ${words}`);
    }

    /** The image, as large as it fits, and over each square what it is said to be: a colour and a letter. */
    map(named, side) {
      const canvas = this.canvases.map, { bitmap, width, height } = this.source;
      const scale = Math.min(1, 720 / Math.max(width, height));
      [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
      const context = canvas.getContext("2d"), size = side * scale;
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      context.font = `bold ${Math.max(8, Math.min(size / 2, 28))}px sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      this.squares.forEach(({ x, y }, k) => {
        const colour = COLOURS[this.names.indexOf(named[k])] ?? "#777777";
        context.strokeStyle = context.fillStyle = colour;
        context.lineWidth = Math.max(2, size / 16);
        context.strokeRect(x * scale + 1, y * scale + 1, size - 2, size - 2);
        const letter = named[k] === "unknown" ? "?" : named[k][0];
        context.lineWidth = 3;
        context.strokeStyle = "white";
        context.strokeText(letter, (x + side / 2) * scale, (y + side / 2) * scale);
        context.fillText(letter, (x + side / 2) * scale, (y + side / 2) * scale);
      });
      const counts = {};
      for (const name of named) counts[name] = (counts[name] ?? 0) + 1;
      const some = Object.entries(counts).sort((a, b) => b[1] - a[1]);
      const words = some.map(([name, count]) => `${count} ${name} (${name === "unknown" ? "?" : name[0]})`).join(", ");
      canvas.setAttribute("aria-label", `Squares of ${this.name}, and what each is said to be: ${words}.`);
      canvas.nextSibling.textContent = `Squares, pixel for pixel, each judged by itself: ${words}`;
      canvas.parentElement.hidden = false;
    }
  }

  const percentage = share => `${(100 * share).toFixed(2)}%`;

  function begin() {
    const seen = new IntersectionObserver(entries => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        new Widget(target).start();
      }
    }, { rootMargin: "400px" });
    document.querySelectorAll(".fp-try").forEach(root => seen.observe(root));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
