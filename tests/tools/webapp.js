// SPDX-License-Identifier: Apache-2.0
// A small shop, to be measured in containers: pages made from a catalog, an API with JSON, orders kept in memory.
'use strict';
const http = require('http');
const crypto = require('crypto');

const port = Number(process.env.PORT || 3000);
const kinds = ['Apple', 'Banana', 'Carrot', 'Lemon', 'Melon', 'Orange', 'Pear', 'Quince'];
const catalog = Array.from({ length: 64 }, (_, i) => ({
  id: i + 1,
  name: `${kinds[i % kinds.length]} juice ${Math.floor(i / kinds.length) + 1}`,
  cents: 150 + (i * 37) % 400,
}));
const orders = new Map();

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const row = (item) => `<tr><td>${escape(item.name)}</td><td>${(item.cents / 100).toFixed(2)}</td></tr>`;
const page = () => `<!doctype html><title>Juices</title><h1>Juices</h1><table>${catalog.map(row).join('\n')}</table>`;

function send(response, status, type, body) {
  const etag = `"${crypto.createHash('sha1').update(body).digest('base64url')}"`;
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), ETag: etag });
  response.end(body);
}

function order(request, response) {
  let text = '';
  request.on('data', (chunk) => { if (text.length < 65536) text += chunk; });
  request.on('end', () => {
    const item = catalog.find((one) => String(one.id) === text.trim());
    if (!item) return send(response, 400, 'text/plain', 'no such juice\n');
    const id = crypto.randomUUID();
    orders.set(id, item);
    send(response, 201, 'application/json', JSON.stringify({ id, item }));
  });
}

http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/api/orders') return order(request, response);
  if (request.url === '/') return send(response, 200, 'text/html; charset=utf-8', page());
  if (request.url === '/api/products') return send(response, 200, 'application/json', JSON.stringify(catalog));
  return send(response, 404, 'text/plain', 'nothing here\n');
}).listen(port);
['SIGTERM', 'SIGINT'].forEach((signal) => process.on(signal, () => process.exit(0)));
