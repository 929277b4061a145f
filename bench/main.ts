#!/usr/bin/env node
console.log("tospace");
export {};
