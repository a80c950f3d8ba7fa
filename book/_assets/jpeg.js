// An image as JPEG and back: the pixels that libjpeg's encoder and decoder leave, as Pillow uses them (half the resolution
// for colour, the slow transform, smooth enlarging), whole number for whole number. Browsers have encoders of their own,
// each with another idea of a quality; answers that depend on it would depend on the browser.
"use strict";

const fpJpeg = (() => {
  const LUMA = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112,
    100, 103, 99,
  ];
  const CHROMA = new Array(64).fill(99);
  [17, 18, 24, 47, , , , , 18, 21, 26, 66, , , , , 24, 26, 56, , , , , , 47, 66].forEach((value, at) => (CHROMA[at] = value));

  /** ITU T.81, annex K, for a quality of 1..100, as libjpeg scales it. */
  function steps(table, quality) {
    const scale = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
    return table.map(step => Math.min(255, Math.max(1, Math.floor((step * scale + 50) / 100))));
  }

  /** A plane is {width, height, data}: whole numbers, row by row. */
  function plane(width, height, value) {
    const data = new Int32Array(width * height);
    for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++) data[at++] = value(x, y);
    return { width, height, data };
  }

  /** As large as this, its last row and column repeated. */
  function padded({ width, height, data }, wide, high) {
    return plane(wide, high, (x, y) => data[Math.min(y, height - 1) * width + Math.min(x, width - 1)]);
  }

  const upTo = (size, unit) => Math.ceil(size / unit) * unit;

  // --- colour ---------------------------------------------------------------------------------------

  /** The three planes of an image, in parts of 2^16: luma, and how blue and how red it is. */
  function planesOf({ width, height, data }) {
    const weighed = (r, g, b, more) => plane(width, height, (x, y) => {
      const at = 3 * (y * width + x);
      return (r * data[at] + g * data[at + 1] + b * data[at + 2] + more) >> 16;
    });
    const middle = (128 << 16) + 32767;
    return [weighed(19595, 38470, 7471, 32768), weighed(-11059, -21709, 32768, middle),
      weighed(32768, -27439, -5329, middle)];
  }

  function imageOf([luma, blue, red], width, height) {
    const data = new Uint8ClampedArray(width * height * 3);
    for (let at = 0; at < width * height; at++) {
      const y = luma.data[at], b = blue.data[at] - 128, r = red.data[at] - 128;
      data[3 * at] = y + ((91881 * r + 32768) >> 16);
      data[3 * at + 1] = y + ((-22554 * b - 46802 * r + 32768) >> 16);
      data[3 * at + 2] = y + ((116130 * b + 32768) >> 16);
    }
    return { width, height, data };
  }

  /** Each 2 x 2 as one, rounded up and down by turns. */
  function halved({ width, height, data }) {
    return plane(width / 2, height / 2, (x, y) => {
      const at = 2 * y * width + 2 * x;
      return (data[at] + data[at + 1] + data[at + width] + data[at + width + 1] + 1 + (x & 1)) >> 2;
    });
  }

  /** Twice as large: of each new pixel, nine parts of sixteen are the nearest old one's. */
  function doubled({ width, height, data }) {
    const inside = (at, size) => Math.min(Math.max(at, 0), size - 1);
    return plane(2 * width, 2 * height, (x, y) => {
      const near = y >> 1, far = inside(near + (y & 1 ? 1 : -1), height);
      const sum = column => 3 * data[near * width + column] + data[far * width + column];
      return (3 * sum(x >> 1) + sum(inside((x >> 1) + (x & 1 ? 1 : -1), width)) + (x & 1 ? 7 : 8)) >> 4;
    });
  }

  // --- blocks ---------------------------------------------------------------------------------------

  /** What is left of a plane whose sides are multiples of 8. */
  function quantized({ width, height, data }, table) {
    const result = new Int32Array(data.length), block = new Int32Array(64);
    for (let top = 0; top < height; top += 8) {
      for (let left = 0; left < width; left += 8) {
        const place = k => (top + (k >> 3)) * width + left + (k & 7);
        for (let k = 0; k < 64; k++) block[k] = data[place(k)] - 128;
        forward(block);
        for (let k = 0; k < 64; k++) {
          const step = 8 * table[k], size = Math.floor((Math.abs(block[k]) + (step >> 1)) / step);
          block[k] = Math.sign(block[k]) * size * table[k];
        }
        back(block);
        for (let k = 0; k < 64; k++) result[place(k)] = Math.min(255, Math.max(0, block[k] + 128));
      }
    }
    return { width, height, data: result };
  }

  const descaled = (value, bits) => (value + (1 << (bits - 1))) >> bits;

  /** The rotations that both directions share (Loeffler, Ligtenberg and Moschytz 1989), in parts of 2^13. */
  function odd(a, b, c, d) {
    const turn = (a + c + b + d) * 9633;
    const e = (a + d) * -7373, f = (b + c) * -20995, g = (a + c) * -16069 + turn, h = (b + d) * -3196 + turn;
    return [a * 2446 + e + g, b * 16819 + f + h, c * 25172 + f + g, d * 12299 + e + h];
  }

  /** The cosine transform of 8 x 8 in place, eight times too large. */
  function forward(v) {
    for (const [step, next, last] of [[1, 8, false], [8, 1, true]]) {
      for (let line = 0; line < 8; line++) {
        const at = k => line * next + k * step, sum = k => v[at(k)] + v[at(7 - k)], less = k => v[at(k)] - v[at(7 - k)];
        const [a, b, c, d] = [0, 1, 2, 3].map(sum), differences = [3, 2, 1, 0].map(less), bits = last ? 15 : 11;
        const [p, q, r, s] = [a + d, b + c, b - c, a - d], turn = (r + s) * 4433;
        v[at(0)] = last ? descaled(p + q, 2) : (p + q) << 2;
        v[at(4)] = last ? descaled(p - q, 2) : (p - q) << 2;
        v[at(2)] = descaled(turn + s * 6270, bits);
        v[at(6)] = descaled(turn - r * 15137, bits);
        odd(...differences).forEach((value, k) => (v[at(7 - 2 * k)] = descaled(value, bits)));
      }
    }
  }

  /** And back. */
  function back(v) {
    for (const [step, next, bits] of [[8, 1, 11], [1, 8, 18]]) {
      for (let line = 0; line < 8; line++) {
        const at = k => line * next + k * step, turn = (v[at(2)] + v[at(6)]) * 4433;
        const low = turn - v[at(6)] * 15137, high = turn + v[at(2)] * 6270;
        const sum = (v[at(0)] + v[at(4)]) << 13, less = (v[at(0)] - v[at(4)]) << 13;
        const even = [sum + high, less + low, less - low, sum - high], others = odd(...[7, 5, 3, 1].map(k => v[at(k)]));
        even.forEach((value, k) => {
          v[at(k)] = descaled(value + others[3 - k], bits);
          v[at(7 - k)] = descaled(value - others[3 - k], bits);
        });
      }
    }
  }

  // --- all of it ------------------------------------------------------------------------------------

  /** An image as it is after having been saved with this quality, 1..100. */
  function saved(image, quality) {
    const { width, height } = image, wide = upTo(width, 16), high = upTo(height, 16);
    const [luma, ...colours] = planesOf(image);
    const table = steps(CHROMA, quality), across = Math.ceil(width / 2), down = Math.ceil(height / 2);
    const cut = (some, w, h) => plane(w, h, (x, y) => some.data[y * some.width + x]);
    const full = quantized(padded(luma, upTo(width, 8), upTo(height, 8)), steps(LUMA, quality));
    const small = colours.map(colour => {
      const half = halved(padded(colour, wide, upTo(height, 2)));
      return cut(quantized(padded(half, wide / 2, high / 2), table), across, down);
    });
    const planes = [full, ...small.map(doubled)].map(one => cut(one, width, height));
    return imageOf(planes, width, height);
  }

  return { saved };
})();
