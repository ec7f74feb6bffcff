'use strict';
(function () {
  const data = JSON.parse(document.getElementById('data').textContent);
  const SVG = 'http://www.w3.org/2000/svg';
  const ROWS = 15;
  const CARDS = 12;
  const LEVELS = 1000; // scores are stored as shares of their video's range, in thousandths
  const find = (id) => document.getElementById(id);

  // Every text goes through textContent and every attribute through setAttribute: names may hold '<', '#' and quotes.
  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  function draw(tag, attributes, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }
  const whole = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ',');
  const known = (value) => value !== null && value !== undefined;
  function figure(value) {
    if (!known(value)) return '–';
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(2);
    return size >= 100 ? value.toFixed(1) : value.toFixed(4);
  }
  function score(value) {
    if (!known(value)) return '–';
    const size = Math.abs(value);
    return size !== 0 && (size < 0.001 || size >= 1e4) ? value.toExponential(1) : value.toFixed(3);
  }
  function short(value) {
    const size = Math.abs(value);
    return size !== 0 && (size < 0.01 || size >= 1000) ? value.toExponential(0) : String(+value.toFixed(2));
  }
  function clock(seconds) {
    const total = Math.floor(seconds);
    const two = (value) => String(value).padStart(2, '0');
    const hours = Math.floor(total / 3600);
    const rest = two(Math.floor(total / 60) % 60) + ':' + two(total % 60);
    return hours ? hours + ':' + rest : rest;
  }
  const moment = (video, frame) => (video.fps > 0 ? clock(frame / video.fps) : 'frame ' + whole(frame));

  // ---------------------------------------------------------------- header and figures

  function showHeader() {
    find('benchmark').textContent = data.benchmark;
    find('source').textContent = 'Scores: ' + data.scores;
    const coverage = data.coverage;
    const badges = [
      ['Protocol ', data.protocol.name + ', version ' + data.protocol.version],
      ['Videos scored ', whole(coverage.videos_scored) + ' of ' + whole(coverage.videos_known)],
      ['Frames scored ', whole(coverage.frames_scored) + ' of ' + whole(coverage.frames_known)],
    ];
    if (coverage.anomalous_frames !== null) badges.push(['Anomalous ', whole(coverage.anomalous_frames) + ' frames']);
    for (const [name, value] of badges) find('badges').append(make('li', {}, name, make('b', {}, value)));
    if (!coverage.complete) find('badges').append(make('li', { class: 'partial' }, 'Part of the benchmark only'));
    find('theme').addEventListener('click', () => {
      const root = document.documentElement;
      const set = root.getAttribute('data-theme');
      const dark = set ? set === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      root.setAttribute('data-theme', dark ? 'light' : 'dark');
    });
  }

  function showFigures() {
    for (const item of data.figures.filter((item) => item.headline)) {
      const card = make('div', { class: 'card', title: item.help, 'data-figure': item.name });
      card.append(make('div', { class: 'name' }, item.label), make('div', { class: 'value' }, figure(item.value)));
      if (known(item.low)) {
        const bar = make('div', { class: 'bar' });
        const span = make('i');
        span.style.left = 100 * item.low + '%';
        span.style.width = 100 * (item.high - item.low) + '%';
        const mark = make('b');
        mark.style.left = 100 * item.value + '%';
        bar.append(span, mark);
        card.append(bar, make('div', { class: 'between' }, '95 %: ' + figure(item.low) + ' to ' + figure(item.high)));
      }
      find('headline').append(card);
    }
    for (const item of data.figures.filter((item) => !item.headline)) {
      let text = figure(item.value);
      if (known(item.low)) text += ' (' + figure(item.low) + ' to ' + figure(item.high) + ')';
      const row = make('div', { title: item.help, 'data-figure': item.name });
      row.append(make('span', {}, item.label), make('span', {}, text));
      find('others').append(row);
    }
    const missing = find('undefined');
    missing.hidden = !data.undefined.length;
    missing.querySelector('summary').textContent = 'Figures that do not exist here: ' + data.undefined.length;
    for (const item of data.undefined) {
      missing.querySelector('dl').append(make('dt', {}, item.label), make('dd', {}, item.reason));
    }
    for (const note of data.notes) find('notes').append(make('li', {}, note));
    find('options').hidden = !data.options.length;
    for (const [name, value] of data.options) {
      find('options').querySelector('dl').append(make('dt', {}, name), make('dd', {}, value));
    }
    const protocol = find('protocol');
    protocol.querySelector('summary').textContent = 'What protocol ' + data.protocol.name + ' fixes';
    protocol.querySelector('p').textContent = data.protocol.description;
    for (const [name, value] of data.protocol.settings) {
      protocol.querySelector('dl').append(make('dt', {}, name), make('dd', {}, value));
    }
    find('footer').textContent = data.footer;
  }

  // ---------------------------------------------------------------- ROC and precision-recall

  function showCurve(id, points, names, diagonal) {
    const place = find(id);
    if (!points) {
      place.append(make('p', { class: 'note' }, 'Not defined: one class is missing.'));
      return;
    }
    const [left, top, side] = [44, 8, 300];
    const svg = draw('svg', { viewBox: '0 0 360 348', role: 'img', 'aria-label': names.join(' against ') });
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      const [x, y] = [left + share * side, top + (1 - share) * side];
      svg.append(draw('line', { class: 'grid', x1: left, x2: left + side, y1: y, y2: y }));
      svg.append(draw('line', { class: 'grid', x1: x, x2: x, y1: top, y2: top + side }));
      svg.append(draw('text', { x: left - 6, y: y + 4, 'text-anchor': 'end' }, String(share)));
      svg.append(draw('text', { x: x, y: top + side + 15, 'text-anchor': 'middle' }, String(share)));
    }
    if (diagonal) svg.append(draw('line', { class: 'chance', x1: left, y1: top + side, x2: left + side, y2: top }));
    const place2d = points.x.map((x, k) => [left + x * side, top + (1 - points.y[k]) * side]);
    const path = 'M' + place2d.map(([x, y]) => x.toFixed(2) + ' ' + y.toFixed(2)).join('L');
    const [first, last] = [place2d[0], place2d[place2d.length - 1]];
    const base = top + side;
    svg.append(draw('path', { class: 'area', d: path + 'L' + last[0] + ' ' + base + 'L' + first[0] + ' ' + base + 'Z' }));
    svg.append(draw('path', { class: 'curve', d: path }));
    svg.append(draw('text', { x: left + side / 2, y: top + side + 32, 'text-anchor': 'middle' }, names[0]));
    const turned = { x: 0, y: 0, 'text-anchor': 'middle', transform: 'translate(10 ' + (top + side / 2) + ') rotate(-90)' };
    svg.append(draw('text', turned, names[1]));
    place.append(svg);
  }

  // ---------------------------------------------------------------- timelines

  function extent(video) {
    const own = find('scale').value === 'own';
    const [low, high] = own ? video.range : data.range;
    return high > low ? [low, high] : [low - 0.5, high + 0.5];
  }
  // The score that a stored level stands for; null where the frames have none.
  function restore(video, level) {
    return level < 0 ? null : video.range[0] + (level / LEVELS) * (video.range[1] - video.range[0]);
  }

  function plot(video, height) {
    const [low, high] = extent(video);
    const place = (value) => ((1 - (value - low) / (high - low)) * (height - 4) + 2).toFixed(2);
    const svg = draw('svg', { viewBox: '0 0 1000 ' + height, preserveAspectRatio: 'none', role: 'img' });
    svg.setAttribute('aria-label', 'scores of ' + video.id);
    for (const [start, end] of video.truth || []) {
      const width = Math.max((1000 * (end - start)) / video.frames, 1.5);
      svg.append(draw('rect', { class: 'truth', x: (1000 * start) / video.frames, y: 0, width: width, height: height }));
    }
    const lows = video.low || video.high;
    const bins = video.high.length;
    let [line, band, run] = ['', '', []];
    const close = () => {
      if (!run.length) return;
      const step = (k) => ((1000 * k) / bins).toFixed(2);
      line += 'M' + run.map((k) => step(k) + ' ' + place(restore(video, video.high[k])) + 'H' + step(k + 1)).join('L');
      const upper = run.map((k) => step(k) + ' ' + place(restore(video, video.high[k])) + 'H' + step(k + 1));
      const lower = [...run].reverse().map((k) => step(k + 1) + ' ' + place(restore(video, lows[k])) + 'H' + step(k));
      band += 'M' + upper.join('L') + 'L' + lower.join('L') + 'Z';
      run = [];
    };
    for (let k = 0; k < bins; k++) {
      if (video.high[k] < 0) close();
      else run.push(k);
    }
    close();
    svg.append(draw('path', { class: 'band', d: band }), draw('path', { class: 'curve', d: line }));
    return svg;
  }

  function timeline(video) {
    const card = make('article', { class: 'timeline', 'data-video': video.id });
    const facts = make('span', { class: 'facts' });
    if (video.alarm) {
      const [frame, value] = video.alarm;
      facts.append('highest false alarm ', make('b', {}, score(value)), ' at ' + moment(video, frame) + ' · ');
    }
    facts.append('AUC ' + figure(video.auc) + ' · ' + whole(video.frames) + ' frames');
    card.append(make('div', { class: 'line' }, make('h3', {}, video.id), facts));
    const box = make('div', { class: 'plot' });
    const [low, high] = extent(video);
    for (const [value, top] of [[high, 0], [low, 93]]) {
      const axis = make('span', { class: 'axis' }, short(value));
      axis.style.top = top + 'px';
      box.append(axis);
    }
    const svg = plot(video, 104);
    box.append(svg);
    if (video.alarm) {
      const dot = make('span', { class: 'dot' });
      dot.style.left = 'calc(38px + (100% - 38px) * ' + (video.alarm[0] + 0.5) / video.frames + ')';
      dot.style.top = (1 - (video.alarm[1] - low) / (high - low)) * 100 + 2 + 'px';
      box.append(dot);
    }
    const readout = make('div', { class: 'readout' });
    listen(video, svg, box, readout);
    const ticks = make('div', { class: 'ticks' });
    for (const share of [0, 0.25, 0.5, 0.75, 1]) ticks.append(make('span', {}, moment(video, Math.round(share * video.frames))));
    card.append(box, ticks, readout);
    if (video.thumbnails.length) {
      const row = make('div', { class: 'thumbs' });
      for (const picture of video.thumbnails) {
        const caption = picture.caption + ', ' + moment(video, picture.frame);
        row.append(make('figure', {}, make('img', { src: picture.src, alt: caption }), make('figcaption', {}, caption)));
      }
      card.append(row);
    }
    return card;
  }

  // Reads the curve under the pointer.
  function listen(video, svg, box, readout) {
    const cursor = make('span', { class: 'cursor', hidden: '' });
    box.append(cursor);
    svg.addEventListener('pointermove', (event) => {
      const frame = svg.getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - frame.left) / frame.width, 0), 0.999999);
      const bins = video.high.length;
      const bin = Math.floor(share * bins);
      const start = Math.floor((bin * video.frames) / bins);
      const end = Math.max(Math.floor(((bin + 1) * video.frames) / bins), start + 1);
      const top = restore(video, video.high[bin]);
      const bottom = restore(video, (video.low || video.high)[bin]);
      let text = end - start > 1 ? 'frames ' + whole(start) + ' to ' + whole(end - 1) : 'frame ' + whole(start);
      if (video.fps > 0) text += ', ' + clock(start / video.fps);
      if (top === null) text += ': not scored';
      else text += ': score ' + (end - start > 1 && top !== bottom ? score(bottom) + ' to ' + score(top) : score(top));
      if (video.truth) text += video.truth.some(([a, b]) => start < b && end > a) ? ', anomalous' : ', normal';
      readout.textContent = text;
      cursor.hidden = false;
      cursor.style.left = event.clientX - box.getBoundingClientRect().left + 'px';
    });
    svg.addEventListener('pointerleave', () => {
      readout.textContent = '';
      cursor.hidden = true;
    });
  }

  // ---------------------------------------------------------------- table, filter, order

  const COLUMNS = [
    { name: 'Video', value: (video) => video.id, first: 'ascending' },
    { name: 'Timeline', strip: true },
    { name: 'AUC', value: (video) => video.auc, show: (video) => figure(video.auc), first: 'ascending' },
    { name: 'Highest false alarm', value: (video) => video.alarm && video.alarm[1], show: (video) => score(video.alarm && video.alarm[1]), first: 'descending' },
    { name: 'Anomalous', value: (video) => video.share, show: (video) => (known(video.share) ? (100 * video.share).toFixed(1) + ' %' : '–'), first: 'descending' },
    { name: 'Frames', value: (video) => video.frames, show: (video) => whole(video.frames), first: 'descending' },
    { name: 'Length', value: (video) => (video.fps > 0 ? video.frames / video.fps : null), show: (video) => (video.fps > 0 ? clock(video.frames / video.fps) : '–'), first: 'descending' },
  ];
  if (!data.videos.some((video) => video.fps > 0)) COLUMNS.pop(); // without a frame rate there is no length in time
  const state = { column: 3, direction: 'descending', rows: ROWS, cards: CARDS, marked: null };
  const byName = (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

  // Videos without a value come last in either direction.
  function sorted(videos, value, direction) {
    const sign = direction === 'ascending' ? 1 : -1;
    return [...videos].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (known(x) !== known(y)) return known(x) ? -1 : 1;
      if (!known(x) || x === y) return byName(a, b);
      return x < y ? -sign : sign;
    });
  }

  function chosen() {
    const part = find('filter').value.trim().toLowerCase();
    const kind = find('kind').value;
    return data.videos.filter((video) => {
      if (part && !video.id.toLowerCase().includes(part)) return false;
      if (kind === 'anomalous') return Boolean(video.truth && video.truth.length);
      return kind === 'all' || Boolean(video.truth && !video.truth.length);
    });
  }

  function showHead() {
    const row = find('videos').querySelector('thead tr');
    COLUMNS.forEach((column, number) => {
      if (column.strip) {
        row.append(make('th', { class: 'left', scope: 'col' }, make('span', { class: 'facts' }, column.name)));
        return;
      }
      const button = make('button', { type: 'button' }, column.name);
      button.addEventListener('click', () => {
        if (state.column === number) state.direction = state.direction === 'ascending' ? 'descending' : 'ascending';
        else [state.column, state.direction] = [number, column.first];
        showTable();
      });
      row.append(make('th', { scope: 'col' }, button));
    });
  }

  function showTable() {
    const videos = chosen();
    const order = sorted(videos, COLUMNS[state.column].value, state.direction);
    find('videos').querySelectorAll('th').forEach((head, number) => {
      if (number === state.column) head.setAttribute('aria-sort', state.direction);
      else head.removeAttribute('aria-sort');
    });
    const rows = order.slice(0, state.rows).map((video) => {
      const row = make('tr', { 'data-video': video.id });
      for (const column of COLUMNS) {
        if (column.strip) {
          const cell = make('td', { class: 'strip plot' }, plot(video, 28));
          cell.firstChild.style.height = '28px';
          row.append(cell);
        } else if (column.name === 'Video') {
          const button = make('button', { type: 'button', title: video.id }, video.id);
          button.addEventListener('click', () => jump(video));
          row.append(make('td', {}, button));
        } else {
          row.append(make('td', {}, column.show(video)));
        }
      }
      return row;
    });
    find('videos').querySelector('tbody').replaceChildren(...rows);
    find('count').textContent = whole(videos.length) + ' of ' + whole(data.videos.length) + ' videos';
    const rest = order.length - rows.length;
    find('more-rows').hidden = rest <= 0;
    find('more-rows').textContent = 'Show ' + whole(Math.min(rest, 10 * ROWS)) + ' more of ' + whole(rest);
  }

  const ORDERS = {
    alarm: [(video) => video.alarm && video.alarm[1], 'descending'],
    auc: [(video) => video.auc, 'ascending'],
    frames: [(video) => video.frames, 'descending'],
    name: [(video) => video.id, 'ascending'],
  };

  function showTimelines() {
    let order = sorted(chosen(), ...ORDERS[find('order').value]);
    if (state.marked) order = [state.marked, ...order.filter((video) => video !== state.marked)];
    const shown = order.slice(0, state.cards);
    find('timelines').replaceChildren(...shown.map(timeline));
    if (state.marked) find('timelines').firstChild.classList.add('marked');
    const rest = order.length - shown.length;
    find('more').hidden = rest <= 0;
    find('more').textContent = 'Show ' + whole(Math.min(rest, CARDS)) + ' more of ' + whole(rest);
  }

  function jump(video) {
    state.marked = video;
    showTimelines();
    find('timelines').firstChild.scrollIntoView({ block: 'center' });
  }

  function change() {
    [state.rows, state.cards, state.marked] = [ROWS, CARDS, null];
    showTable();
    showTimelines();
  }

  document.title = data.title;
  showHeader();
  showFigures();
  if (!data.roc && !data.pr) find('curves').hidden = true;
  showCurve('roc', data.roc, ['false positive rate', 'true positive rate'], true);
  showCurve('pr', data.pr, ['recall', 'precision'], false);
  showHead();
  change();
  find('filter').addEventListener('input', change);
  find('kind').addEventListener('change', change);
  find('order').addEventListener('change', () => {
    [state.cards, state.marked] = [CARDS, null];
    showTimelines();
  });
  find('scale').addEventListener('change', () => {
    showTable();
    showTimelines();
  });
  find('more-rows').addEventListener('click', () => {
    state.rows += 10 * ROWS;
    showTable();
  });
  find('more').addEventListener('click', () => {
    state.cards += CARDS;
    showTimelines();
  });
  document.documentElement.setAttribute('data-ready', 'true');
})();
