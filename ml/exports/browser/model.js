// The model of this folder in a browser: encoder.json says how rows become numbers, onnxruntime-web runs core.onnx.

const LARGEST = 8; // standardised numbers are cut here
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const utf8 = new TextEncoder();

/** UTF-8 bytes of a text, one character each, so that a cut after some bytes means what it means in training. */
const bytes = (text, length) => String.fromCharCode(...utf8.encode(text).slice(0, length ?? undefined));

const index = (column) => new Map(column.vocabulary.map((value, place) => [bytes(value), column.first + place]));

export class Encoder {
  constructor(plan) {
    this.plan = plan;
    this.index = new Map([...plan.categories, ...plan.texts].map((column) => [column.name, index(column)]));
    const shown = { timeZone: plan.timezone, hourCycle: "h23", weekday: "short", hour: "2-digit", minute: "2-digit" };
    this.calendar = new Intl.DateTimeFormat("en-US", shown);
  }

  /** Rows, objects of column and value, as flat arrays by name, each with its width; null says missing. */
  encode(rows) {
    const widths = this.plan.widths;
    const packed = {
      categories: new Int32Array(rows.length * widths.categories),
      numbers: new Float32Array(rows.length * widths.numbers),
      tokens: new Int32Array(rows.length * widths.tokens),
    };
    rows.forEach((row, n) => {
      this.#categories(row, packed.categories, n * widths.categories);
      this.#times(row, packed, n * widths.categories, n * widths.numbers);
      this.#numbers(row, packed.numbers, n * widths.numbers);
      this.#texts(row, packed.tokens, n * widths.tokens);
    });
    return packed;
  }

  #categories(row, out, start) {
    for (const one of this.plan.categories) {
      const found = this.index.get(one.name).get(bytes(row[one.name] ?? "", one.bytes));
      out[start + one.place] = found ?? one.first - 1;
    }
  }

  #times(row, packed, start, wide) {
    for (const one of this.plan.times) {
      const [day, hour, minute] = this.#local(row[one.name]);
      packed.categories[start + one.place] = one.first + day;
      packed.categories[start + one.place + 1] = one.first + 8 + hour;
      const angle = Math.fround(minute * Math.fround((2 * Math.PI) / 1440));
      const clock = day ? [Math.sin(angle), Math.cos(angle), 0] : [0, 0, 1];
      clock.forEach((value, place) => (packed.numbers[wide + one.number + place] = value));
    }
  }

  /** Weekday 1 to 7 from Monday, hour 1 to 24, minute of the day, all local; zeros when missing. */
  #local(value) {
    if (value == null) return [0, 0, 0];
    const parts = Object.fromEntries(this.calendar.formatToParts(new Date(value)).map((part) => [part.type, part.value]));
    return [DAYS.indexOf(parts.weekday) + 1, Number(parts.hour) + 1, Number(parts.hour) * 60 + Number(parts.minute)];
  }

  /** Every step rounds to 32 bits, as the network was taught. */
  #numbers(row, out, start) {
    const { fround } = Math;
    for (const one of this.plan.numbers) {
      const value = fround(row[one.name] ?? NaN);
      const missing = !Number.isFinite(value);
      const factor = fround(1 / fround(one.deviation));
      const standard = fround(fround((missing ? fround(one.median) : value) - fround(one.mean)) * factor);
      out[start + one.place] = Math.min(Math.max(standard, -LARGEST), LARGEST);
      out[start + one.place + 1] = Number(missing);
    }
  }

  #texts(row, out, start) {
    for (const one of this.plan.texts) {
      const lower = (row[one.name] ?? "").replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      const words = (lower.match(/[a-z0-9]+/g) ?? [""]).slice(0, one.length);
      words.forEach((word, place) => (out[start + place] = this.index.get(one.name).get(word) ?? 1));
      start += one.length;
    }
  }
}

/** Load the model: `await load(ort)` gives a function from rows to scores, one list of numbers per row. */
export async function load(ort, folder = ".") {
  const encoder = new Encoder(await (await fetch(`${folder}/encoder.json`)).json());
  const session = await ort.InferenceSession.create(`${folder}/core.onnx`);
  return async (rows) => {
    const packed = encoder.encode(rows);
    const inputs = session.inputNames.map((name) => {
      const shape = [rows.length, encoder.plan.widths[name]];
      return [name, new ort.Tensor(name === "numbers" ? "float32" : "int32", packed[name], shape)];
    });
    const { data, dims } = (await session.run(Object.fromEntries(inputs)))[session.outputNames[0]];
    return rows.map((_, n) => Array.from(data.slice(n * dims[1], (n + 1) * dims[1])));
  };
}
