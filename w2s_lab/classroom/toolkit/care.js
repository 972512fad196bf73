// Runs once a page, and again whenever the page changes.
if (!window.w2sCares) {
  window.w2sCares = true;
  const all = (selector, within = document) => within.querySelectorAll(selector);
  const words = node => node?.textContent.trim() ?? '';
  const set = (node, name, value) => value && node.getAttribute(name) !== value && node.setAttribute(name, value);
  const PLAY = {'fa-play': 'Play', 'fa-pause': 'Pause', 'fa-stop': 'Stop', 'fa-retweet': 'Repeat'};
  // A lower picture or a shorter sentence leaves the page below it where it is, until the window has another width.
  const keepHeight = (shown, kept = shown) => {
    if (kept.w2sWidth !== kept.clientWidth) Object.assign(kept, {w2sWidth: kept.clientWidth, w2sHeight: 0});
    shown.style.minHeight = kept.w2sHeight + 'px';
    kept.w2sHeight = shown.offsetHeight;
  };
  const care = () => {
    // Of Jupyter's registry of keys (Lumino): the keys pressed in here are not its own.
    for (const menu of all('.w2s select, .w2s input[type=radio]')) set(menu, 'data-lm-suppress-shortcuts', 'true');
    for (const handle of all('.w2s .noUi-handle')) {
      const slider = handle.closest('.widget-inline-hbox'), shown = slider.querySelector('.widget-readout');
      const name = words(slider.querySelector('label')), ends = all('.noUi-handle', slider);
      set(handle, 'aria-label', name + (ends.length < 2 ? '' : handle === ends[0] ? ', from' : ', to'));
      set(handle, 'aria-valuetext', words(shown));
      // A slider over named positions takes no typed number, though ipywidgets let one type into it.
      if (shown && !slider.matches('.jupyter-widgets')) shown.removeAttribute('contenteditable');
      if (!shown?.isContentEditable) continue;
      set(shown, 'role', 'textbox');
      set(shown, 'aria-label', name + ', as a number');
    }
    for (const group of all('.w2s .widget-toggle-buttons')) {
      set(group, 'role', 'group');
      set(group, 'aria-label', words(group.querySelector('label')));
      for (const button of all('button', group)) set(button, 'aria-pressed', String(button.classList.contains('mod-active')));
    }
    for (const button of all('.w2s .widget-play button')) {
      const icon = button.querySelector('i')?.className ?? '';
      set(button, 'aria-label', Object.keys(PLAY).filter(one => icon.includes(one)).map(one => PLAY[one])[0]);
    }
    for (const label of all('.w2s [title=null]')) label.removeAttribute('title');  // what ipywidgets call no tooltip
    for (const page of all('.w2s .widget-html-content, .w2s .w2s-long')) {  // what scrolls can be reached, and moved by its keys
      const hidden = Math.max(page.scrollWidth - page.clientWidth, page.scrollHeight - page.clientHeight);
      if (hidden > 2) set(page, 'tabindex', '0'); else page.removeAttribute('tabindex');
    }
    for (const said of all('.w2s p[role=status]')) keepHeight(said, said.parentElement);
    for (const svg of all('.w2s .widget-html-content > svg[role=img]')) keepHeight(svg.parentElement);
    for (const row of all('.w2s-option')) {
      const box = row.querySelector('input'), text = row.querySelector('[id^=w2s-]');
      if (box && text) set(box, 'aria-labelledby', text.id);
    }
  };
  const changes = {subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['class']};
  new MutationObserver(care).observe(document.body, changes);
  window.addEventListener('resize', care);
  care();
}
