// The library's ways with pixels, in the browser: what fingerprintlib.data (images, decoding), forensics.viewing and
// attacks.distortions do to images, done here to the same pixels. An image is {width, height, data}: red, green, blue,
// row by row, 0..255.
"use strict";

const fpPixels = (() => {
  const MOST = 50e6; // pixels of a file, as in decoding.py
  const LUMA = [299, 587, 114];

  class ImageError extends Error {} // its message is for the reader

  function made(width, height) {
    return { width, height, data: new Uint8ClampedArray(width * height * 3) };
  }

  function cut(image, left, top, width, height) {
    const result = made(width, height);
    for (let y = 0; y < height; y++) {
      const start = ((top + y) * image.width + left) * 3;
      result.data.set(image.data.subarray(start, start + width * 3), y * width * 3);
    }
    return result;
  }

  // --- files ----------------------------------------------------------------------------------------

  /** What kind of file it is, by its first bytes; whether it moves, and whether its end is missing. */
  function sniffed(bytes) {
    const text = (start, end) => String.fromCharCode(...bytes.subarray(start, end));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (text(0, 4) === "GIF8") return { kind: "GIF", moves: gifFrames(bytes) > 1 };
    if (text(1, 4) === "PNG") return { kind: "PNG", ...pngParts(bytes, view) };
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return { kind: "JPEG", moves: false, cut: !jpegEnds(bytes, view) };
    if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") {
      const moves = text(12, 16) === "VP8X" && (bytes[20] & 2) !== 0;
      return { kind: "WebP", moves, cut: bytes.length < 8 + view.getUint32(4, true) };
    }
    if (text(4, 8) === "ftyp") {
      const brand = text(8, 12);
      if (/^(hei|hev|mif|msf)/.test(brand)) return { kind: "HEIC", moves: false };
      return { kind: brand.trim(), moves: brand === "avis" };
    }
    return { kind: /<svg[\s>]/.test(text(0, 2000)) ? "SVG" : "", moves: false };
  }

  function pngParts(bytes, view) {
    let moves = false;
    for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
      const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      if (name === "acTL") moves = true;
      if (name === "IEND") return { moves, cut: false };
    }
    return { moves, cut: true };
  }

  /** Whether a mark of the end follows the pixels; one before them ends a preview. */
  function jpegEnds(bytes, view) {
    let at = 2;
    while (at + 4 <= bytes.length && bytes[at + 1] !== 0xda) at += bytes[at + 1] === 0xff ? 1 : 2 + view.getUint16(at + 2);
    for (; at + 1 < bytes.length; at++) if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
    return false;
  }

  function gifFrames(bytes) {
    const table = packed => (packed & 0x80 ? 3 * 2 ** ((packed & 7) + 1) : 0);
    let at = 13 + table(bytes[10]), frames = 0;
    const skipBlocks = () => {
      while (at < bytes.length && bytes[at]) at += bytes[at] + 1;
      at += 1;
    };
    while (at < bytes.length && bytes[at] !== 0x3b) {
      if (bytes[at] === 0x21) at += 2;
      else if (bytes[at] === 0x2c) {
        frames += 1;
        at += 11 + table(bytes[at + 9]);
      } else break;
      skipBlocks();
    }
    return frames;
  }

  /** A file as something whose rows can be read: {width, height, rows(left, top, width, height)} gives RGBA. */
  async function open(file, name) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const { kind, moves, cut: short } = sniffed(bytes);
    if (moves) throw new ImageError(`${name} holds several frames. Save one of them as a still image.`);
    if (kind === "SVG") throw new ImageError(`${name} is a drawing without pixels (SVG). Save it as PNG.`);
    const damaged = new ImageError(`${name} is damaged, or too large for this browser. Save or copy it again.`);
    if (short) throw damaged; // some browsers show what there is
    const url = URL.createObjectURL(file), element = new Image();
    try {
      element.src = url;
      await new Promise((done, failed) => {
        element.onload = done;
        element.onerror = failed;
      });
    } catch {
      throw new ImageError(
        kind === "HEIC"
          ? `${name} is a HEIC file, which this browser cannot read. Export it as JPEG, in the best quality.`
          : `${name} is not an image that this browser can read. Try a JPEG or a PNG.`
      );
    } finally {
      URL.revokeObjectURL(url);
    }
    const { naturalWidth: width, naturalHeight: height } = element;
    if (width * height > MOST) {
      const size = `${width} x ${height} pixels`;
      throw new ImageError(`${name} is too large: ${size}, where at most 50 million are read. Make it smaller.`);
    }
    let bitmap;
    try {
      bitmap = await createImageBitmap(element);
    } catch {
      throw damaged;
    }
    return readable(bitmap, name);
  }

  function canvas(width, height) {
    const made = document.createElement("canvas");
    made.width = width;
    made.height = height;
    return made;
  }

  function readable(bitmap, name) {
    const { width, height } = bitmap;
    return {
      width,
      height,
      bitmap,
      rows(left, top, across, down) {
        const context = canvas(across, down).getContext("2d", { willReadFrequently: true });
        context.drawImage(bitmap, left, top, across, down, 0, 0, across, down);
        const { data } = context.getImageData(0, 0, across, down);
        for (let at = 3; at < data.length; at += 4) {
          if (data[at] < 255) {
            throw new ImageError(
              `${name} is partly transparent. Save it without transparency: as JPEG, or on white.`
            );
          }
        }
        return data;
      },
    };
  }

  function fromRGBA(data, width, height) {
    const image = made(width, height);
    for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
      image.data[to] = data[from];
      image.data[to + 1] = data[from + 1];
      image.data[to + 2] = data[from + 2];
    }
    return image;
  }

  function toImageData(image) {
    const shown = new ImageData(image.width, image.height);
    for (let from = 0, to = 0; from < image.data.length; from += 3, to += 4) {
      shown.data.set(image.data.subarray(from, from + 3), to);
      shown.data[to + 3] = 255;
    }
    return shown;
  }

  function part(source, left, top, width, height) {
    return fromRGBA(source.rows(left, top, width, height), width, height);
  }

  // --- what a network sees --------------------------------------------------------------------------

  /** viewing.seen: the middle square, shrunk by area, or enlarged, or its middle as it is. */
  function seen(source, side, view) {
    const length = Math.min(source.width, source.height);
    const left = Math.floor((source.width - length) / 2), top = Math.floor((source.height - length) / 2);
    if (length <= side) return bicubic(part(source, left, top, length, length), side, side);
    if (view === "middle") {
      const start = Math.floor((length - side) / 2);
      return part(source, left + start, top + start, side, side);
    }
    return shrunk(source, left, top, length, side);
  }

  /** images.shrink of a square, a strip at a time: each new pixel is the mean of its area, in whole numbers. */
  function shrunk(source, left, top, length, side) {
    const sums = new Float64Array(side * side * 3), strip = Math.max(1, Math.floor(1e6 / length));
    const row = new Float64Array(side * 3);
    // A pixel is cut into `side` parts; of pixel `at`, so many fall to the first new pixel that it touches.
    const places = Array.from({ length }, (_, at) => {
      const first = Math.floor((at * side) / length);
      return [first, Math.min(side, (first + 1) * length - at * side)];
    });
    for (let start = 0; start < length; start += strip) {
      const count = Math.min(strip, length - start), data = source.rows(left, top + start, length, count);
      for (let y = 0; y < count; y++) {
        row.fill(0);
        for (let x = 0, from = y * length * 4; x < length; x++, from += 4) {
          const [first, mine] = places[x], to = first * 3, others = side - mine;
          for (let c = 0; c < 3; c++) row[to + c] += mine * data[from + c];
          if (others) for (let c = 0; c < 3; c++) row[to + 3 + c] += others * data[from + c];
        }
        const [first, mine] = places[start + y], to = first * side * 3, others = side - mine;
        for (let k = 0; k < row.length; k++) sums[to + k] += mine * row[k];
        if (others) for (let k = 0; k < row.length; k++) sums[to + side * 3 + k] += others * row[k];
      }
    }
    const result = made(side, side), area = length * length;
    sums.forEach((sum, k) => (result.data[k] = Math.floor((2 * sum + area) / (2 * area))));
    return result;
  }

  /** viewing.squares: [n][m] squares, evenly over the image and none over another. */
  function squares(source, side, most = 8) {
    const places = length => {
      const count = Math.min(Math.floor(length / side), most), free = length - count * side;
      return Array.from({ length: count }, (_, k) => k * side + Math.floor((free * (2 * k + 1)) / (2 * count)));
    };
    const across = places(source.width);
    return places(source.height).map(y => across.map(x => ({ x, y, image: part(source, x, y, side, side) })));
  }

  // --- resizing -------------------------------------------------------------------------------------

  /** Bicubic, widened where it shrinks: first across, then down, whole numbers in between; as Pillow, or as PyTorch. */
  function bicubic(image, width, height, weights = pillows) {
    const wide = width === image.width ? image : resampled(image, width, 1, 0, weights);
    return height === image.height ? wide : resampled(wide, height, 0, 1, weights);
  }

  function resampled(image, size, across, down, weights) {
    const result = made(across ? size : image.width, down ? size : image.height);
    const length = across ? image.width : image.height, step = (across ? 1 : image.width) * 3;
    const lines = across ? image.height : image.width, { one, kernels } = weights(kernelsOf(length, size));
    kernels.forEach(({ first, share }, at) => {
      for (let line = 0; line < lines; line++) {
        const from = (across ? line * image.width : line) * 3 + first * step;
        const to = (across ? line * size + at : at * image.width + line) * 3;
        for (let c = 0; c < 3; c++) {
          let sum = one / 2;
          for (let k = 0; k < share.length; k++) sum += share[k] * image.data[from + k * step + c];
          result.data[to + c] = Math.floor(sum / one); // clamped to 0..255
        }
      }
    });
    return result;
  }

  function kernelsOf(length, size) {
    const scale = length / size, wider = Math.max(scale, 1), reach = 2 * wider;
    return Array.from({ length: size }, (_, at) => {
      const centre = (at + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - reach + 0.5));
      const end = Math.min(length, Math.trunc(centre + reach + 0.5));
      const share = Array.from({ length: end - first }, (_, k) => cubic((k + first - centre + 0.5) / wider));
      const sum = share.reduce((a, b) => a + b);
      return { first, share: share.map(weight => weight / sum) };
    });
  }

  /** Weights as whole numbers, in parts of `one`. */
  function inParts(kernels, one) {
    const whole = ({ first, share }) => ({ first, share: share.map(weight => Math.round(weight * one)) });
    return { one, kernels: kernels.map(whole) };
  }

  const pillows = kernels => inParts(kernels, 2 ** 22);

  /** PyTorch's have to fit into 16 bits. */
  function pytorchs(kernels) {
    const most = Math.max(...kernels.flatMap(({ share }) => share));
    let one = 1;
    while (one < 2 ** 22 && Math.trunc(0.5 + most * 2 * one) < 2 ** 15) one *= 2;
    return inParts(kernels, one);
  }

  function cubic(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  }

  // --- colour controls ------------------------------------------------------------------------------

  /** images.coloured. */
  function coloured(image, colour) {
    return colour === "as_is" ? image : equalized(image, colour === "grey");
  }

  /** images.equalize with seed 0: the same ranks, ties broken by the same random numbers. */
  function equalized(image, grey) {
    const pixels = image.width * image.height, channels = grey ? 1 : 3, result = made(image.width, image.height);
    const words = philox(blake2b(image.data), channels * pixels);
    for (let channel = 0; channel < channels; channel++) {
      const values = Float64Array.from({ length: pixels }, (_, at) => {
        const [red, green, blue] = image.data.subarray(3 * at, 3 * at + 3);
        return grey ? LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue : image.data[3 * at + channel];
      });
      const chance = words.subarray(channel * pixels);
      const order = Uint32Array.from(values.keys()).sort(
        (a, b) => values[a] - values[b] || chance[a] - chance[b] || a - b
      );
      order.forEach((at, rank) => {
        const level = Math.floor((rank * 256) / pixels);
        if (grey) result.data.fill(level, 3 * at, 3 * at + 3);
        else result.data[3 * at + channel] = level;
      });
    }
    return result;
  }

  const WORD = (1n << 64n) - 1n;

  /** Bits 24 to 45 of the words of Philox 4x64-10 (Salmon et al. 2011) under a key of two words. */
  function philox(key, count) {
    const result = new Float64Array(count);
    for (let block = 0; 4 * block < count; block++) {
      let [a, b, c, d] = [BigInt(block + 1), 0n, 0n, 0n], [k, l] = key;
      for (let round = 0; round < 10; round++) {
        const first = a * 0xd2e7470ee14c6c93n, second = c * 0xca5a826395121157n;
        [a, b, c, d] = [(second >> 64n) ^ b ^ k, second & WORD, (first >> 64n) ^ d ^ l, first & WORD];
        k = (k + 0x9e3779b97f4a7c15n) & WORD;
        l = (l + 0xbb67ae8584caa73bn) & WORD;
      }
      [a, b, c, d].forEach((word, at) => {
        if (4 * block + at < count) result[4 * block + at] = Number((word >> 24n) & 0x3fffffn);
      });
    }
    return result;
  }

  // BLAKE2b (RFC 7693).
  const START = [
    0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
    0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
  ];
  const ORDERS = [
    "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
    "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
    "0123456789abcdef", "ea489fd61c02b753",
  ].map(order => Array.from(order, digit => parseInt(digit, 16)));
  const QUARTERS = ["048c", "159d", "26ae", "37bf", "05af", "16bc", "278d", "349e"].map(some =>
    Array.from(some, digit => parseInt(digit, 16))
  );

  /** The first two words of the digest of 16 bytes. */
  function blake2b(bytes) {
    const state = [...START];
    state[0] ^= 0x01010010n; // no key, 16 bytes
    const blocks = Math.max(1, Math.ceil(bytes.length / 128)), padded = new Uint8Array(128 * blocks);
    padded.set(bytes);
    const words = new BigUint64Array(padded.buffer); // little-endian, as all machines with browsers are
    const turned = (word, by) => (word >> by) | ((word << (64n - by)) & WORD);
    for (let block = 0; block < blocks; block++) {
      const v = [...state, ...START], last = block === blocks - 1;
      v[12] ^= BigInt(last ? bytes.length : 128 * (block + 1));
      if (last) v[14] ^= WORD;
      for (const order of ORDERS) {
        QUARTERS.forEach(([a, b, c, d], quarter) => {
          const [x, y] = [0, 1].map(k => words[16 * block + order[2 * quarter + k]]);
          v[a] = (v[a] + v[b] + x) & WORD;
          v[d] = turned(v[d] ^ v[a], 32n);
          v[c] = (v[c] + v[d]) & WORD;
          v[b] = turned(v[b] ^ v[c], 24n);
          v[a] = (v[a] + v[b] + y) & WORD;
          v[d] = turned(v[d] ^ v[a], 16n);
          v[c] = (v[c] + v[d]) & WORD;
          v[b] = turned(v[b] ^ v[c], 63n);
        });
      }
      for (let k = 0; k < 8; k++) state[k] ^= v[k] ^ v[k + 8];
    }
    return state.slice(0, 2);
  }

  // --- changes --------------------------------------------------------------------------------------

  /** A window shorter by this share of the side, enlarged again: from the middle, or from the upper left. */
  function cropped(image, share, middle = true) {
    const [down, across] = [image.height, image.width].map(size => even(share * size));
    const top = middle ? down >> 1 : 0, left = middle ? across >> 1 : 0;
    const window = cut(image, left, top, image.width - across, image.height - down);
    return bicubic(window, image.width, image.height, pytorchs);
  }

  /** To this multiple of the size and back. */
  function resized(image, factor) {
    const [height, width] = [image.height, image.width].map(size => even(factor * size));
    return bicubic(bicubic(image, width, height, pytorchs), image.width, image.height, pytorchs);
  }

  /** Rounded, halves to the even number, as NumPy and PyTorch do. */
  function even(x) {
    const below = Math.floor(x), rest = x - below;
    return rest === 0.5 ? below + (below % 2) : Math.round(x);
  }

  /** viewing.handled: as JPEG of quality 90, a row and a column less, smaller by 2 %. */
  function handled(image) {
    return [fpJpeg.saved(image, 90), cropped(image, 1 / image.width, false), resized(image, 0.98)];
  }

  /** A Gaussian kernel of this side, mirrored at the border. */
  function blurred(image, side) {
    const reach = side >> 1, sigma = 0.3 * ((side - 1) * 0.5 - 1) + 0.8;
    const kernel = Array.from({ length: side }, (_, k) => Math.exp((-0.5 * (k - reach) ** 2) / sigma ** 2));
    const sum = kernel.reduce((a, b) => a + b);
    const along = (data, width, height, step, length, put) => {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          for (let c = 0; c < 3; c++) {
            const to = (y * width + x) * 3 + c, at = step === 3 ? x : y;
            let value = 0;
            kernel.forEach((weight, k) => {
              let near = Math.abs(at + k - reach);
              if (near >= length) near = 2 * (length - 1) - near;
              value += weight * data[to + (near - at) * step];
            });
            put(to, value / sum);
          }
        }
      }
    };
    const { width, height } = image, result = made(width, height), between = new Float64Array(image.data.length);
    along(image.data, width, height, 3 * width, height, (to, value) => (between[to] = value));
    along(between, width, height, 3, width, (to, value) => (result.data[to] = even(value)));
    return result;
  }

  /** White Gaussian noise of this variance; the same for the same seed. */
  function noisy(image, variance, seed) {
    let state = seed;
    const random = () => {
      state = (state + 0x6d2b79f5) | 0; // mulberry32, by Tommy Ettinger
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    const result = made(image.width, image.height), deviation = Math.sqrt(variance);
    for (let at = 0; at < image.data.length; at++) {
      const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      result.data[at] = even(image.data[at] + deviation * normal);
    }
    return result;
  }

  /** All light times a factor. */
  function brighter(image, factor) {
    const result = made(image.width, image.height);
    image.data.forEach((value, at) => (result.data[at] = even(value * factor)));
    return result;
  }

  // --- spectra --------------------------------------------------------------------------------------

  /** The Fourier transform in place of real and imaginary parts, [height * width] each, both powers of two. */
  function fourier(real, imaginary, width, height, back = false) {
    const line = (start, step, length) => {
      for (let at = 0, to = 0; at < length; at++) {
        if (at < to) {
          for (const some of [real, imaginary]) {
            const [a, b] = [start + at * step, start + to * step];
            [some[a], some[b]] = [some[b], some[a]];
          }
        }
        let bit = length >> 1;
        for (; bit && to & bit; bit >>= 1) to ^= bit;
        to |= bit;
      }
      for (let half = 1; half < length; half *= 2) {
        for (let k = 0; k < half; k++) {
          const angle = ((back ? 1 : -1) * Math.PI * k) / half, cos = Math.cos(angle), sin = Math.sin(angle);
          for (let at = k; at < length; at += 2 * half) {
            const a = start + at * step, b = a + half * step;
            const x = real[b] * cos - imaginary[b] * sin, y = real[b] * sin + imaginary[b] * cos;
            [real[b], imaginary[b]] = [real[a] - x, imaginary[a] - y];
            [real[a], imaginary[a]] = [real[a] + x, imaginary[a] + y];
          }
        }
      }
    };
    for (let y = 0; y < height; y++) line(y * width, 1, width);
    for (let x = 0; x < width; x++) line(x, width, height);
    if (back) [real, imaginary].forEach(some => some.forEach((value, at) => (some[at] = value / (width * height))));
  }

  /** The natural logarithm of the power at each frequency of an image's luma, frequency 0 in the middle. */
  function spectrum(image) {
    const { width, height } = image, real = new Float64Array(width * height), imaginary = real.slice();
    real.forEach((_, at) => LUMA.forEach((weight, c) => (real[at] += (weight / 1000) * image.data[3 * at + c])));
    const mean = real.reduce((a, b) => a + b) / real.length;
    real.forEach((value, at) => (real[at] = value - mean));
    fourier(real, imaginary, width, height);
    return real.map((_, at) => {
      const y = (Math.floor(at / width) + height / 2) % height, x = ((at % width) + width / 2) % width;
      const from = y * width + x;
      return Math.log(real[from] ** 2 + imaginary[from] ** 2 + 1);
    });
  }

  /** distortions.notch: this share of what rises above its surroundings at the peaks of upsampling is taken off. */
  function notched(image, share) {
    const { width, height } = image, result = made(width, height), count = width * height;
    for (let c = 0; c < 3; c++) {
      const plane = Float64Array.from({ length: count }, (_, at) => image.data[3 * at + c]);
      const mean = plane.reduce((a, b) => a + b) / count, real = plane.map(value => value - mean);
      const before = deviation(real), imaginary = new Float64Array(count);
      fourier(real, imaginary, width, height);
      const size = real.map((value, at) => Math.hypot(value, imaginary[at]));
      for (let peak = 1; peak < 64; peak++) {
        const row = even(((peak >> 3) * height) / 8), column = even(((peak & 7) * width) / 8);
        const at = (down, across) =>
          ((row + down + height) % height) * width + ((column + across + width) % width);
        const inner = [], around = [];
        for (let down = -2; down <= 2; down++) {
          for (let across = -2; across <= 2; across++) {
            (Math.max(Math.abs(down), Math.abs(across)) < 2 ? inner : around).push(at(down, across));
          }
        }
        const usual = around.map(place => size[place]).sort((a, b) => a - b)[7]; // PyTorch's median of 16
        for (const place of inner) {
          const keep = 1 - share * (1 - Math.min(1, usual / Math.max(size[place], 1e-6)));
          real[place] *= keep;
          imaginary[place] *= keep;
        }
      }
      fourier(real, imaginary, width, height, true);
      const back = Math.min(2, before / Math.max(deviation(real), 1e-6));
      real.forEach((value, at) => (result.data[3 * at + c] = even(mean + back * value)));
    }
    return result;
  }

  function deviation(values) {
    const mean = values.reduce((a, b) => a + b) / values.length;
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
  }

  return {
    ImageError, made, cut, open, readable, part, toImageData, seen, squares, bicubic, coloured, cropped,
    resized, handled, blurred, noisy, brighter, spectrum, notched,
  };
})();
