batch=$(curl -F files=@photo.jpg -F method=mosaic http://localhost:8080/batches | grep -o '"id": *"[^"]*"' | cut -d '"' -f 4)
curl -N "http://localhost:8080/batches/$batch/events"
curl "http://localhost:8080/batches/$batch/result.zip" -o result.zip
curl -X DELETE "http://localhost:8080/batches/$batch"
