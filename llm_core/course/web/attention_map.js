// With heads.js.
// Maps that Python has computed.

const render = attentionFigure;

export default { render };
