/** A plain file chooser whose value is the picked files; `Inputs.file` gives attachments, not `File`s. */
export function filesInput(label: string, accept: string): HTMLLabelElement & {value: readonly File[]} {
  const element = document.createElement('label') as unknown as HTMLLabelElement & {value: readonly File[]};
  element.className = 'files';
  const input = document.createElement('input');
  input.type = 'file';
  input.multiple = true;
  input.accept = accept;
  element.append(label, input);
  element.value = [];
  input.onchange = () => {
    element.value = Array.from(input.files ?? []);
    element.dispatchEvent(new Event('input', {bubbles: true}));
  };
  input.oninput = (event) => event.stopPropagation();
  return element;
}
