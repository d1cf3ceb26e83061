/** Small elements that the cells show. */

/** A paragraph; `display('…')` would show a JavaScript string. */
export function note(text: string): HTMLParagraphElement {
  const p = document.createElement('p');
  p.textContent = text;
  return p;
}

/** Two columns, name and value: narrow enough for a phone. */
export function facts(entries: Readonly<Record<string, unknown>>): HTMLTableElement {
  const table = document.createElement('table');
  table.className = 'facts';
  for (const [name, value] of Object.entries(entries)) {
    const row = table.insertRow();
    row.append(Object.assign(document.createElement('th'), {textContent: name, scope: 'row'}));
    row.insertCell().textContent = String(value);
  }
  return table;
}

export type StepsElement = HTMLLabelElement & {value: number};

/** A slider over a few numbers that need not be evenly spaced. */
export function steps(label: string, values: readonly number[], value = values[0] as number): StepsElement {
  const element = document.createElement('label') as unknown as StepsElement;
  element.className = 'steps';
  const slider = Object.assign(document.createElement('input'), {type: 'range', min: '0', max: String(values.length - 1), step: '1'});
  slider.value = String(Math.max(0, values.indexOf(value)));
  slider.disabled = values.length === 1;
  const output = document.createElement('output');
  const read = () => {
    element.value = values[slider.valueAsNumber] as number;
    output.value = String(element.value);
  };
  // The slider's own event goes on to the element, which has the value by then.
  slider.addEventListener('input', read);
  read();
  element.append(label, slider, output);
  return element;
}
